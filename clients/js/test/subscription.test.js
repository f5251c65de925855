import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import * as sdk from "../src/index.js";
import { connected, outcome, pass, startTime, stopTime } from "./support.js";

beforeEach(stopTime);
afterEach(startTime);

/** The first messages of a subscription, by their bodies. */
async function take(subscription, count) {
  const taken = [];
  for await (const { body } of subscription) if (taken.push(body) === count) return taken;
  return taken;
}

const froms = (server) => server.requests("subscription_create").map(({ body }) => body.from);

test("messages come by iteration, as they were told", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news", { from: "earliest" });
  await subscription.subscribed();
  server.socket.notify("news", 101, { n: 1 });
  const { value } = await subscription[Symbol.asyncIterator]().next();
  assert.deepEqual(value, {
    queue: "news", body: { n: 1 }, id: "m-101", ttl: 3600, created: "2026-01-01T00:00:00Z", marker: "101",
  });
  assert.deepEqual(froms(server), ["earliest"]);
  assert.equal(subscription.marker, "101");
});

test("after a cut it goes on behind the last message, and one that comes again is not told", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news");
  const taken = take(subscription, 3);
  await pass(1);
  server.socket.close();
  await pass(1_500);
  server.socket.notify("news", 101, 1);
  server.socket.notify("news", 102, 2);
  server.socket.close();
  await pass(2_000);
  server.socket.notify("news", 102, 2);
  server.socket.notify("news", 103, 3);
  assert.deepEqual(await taken, [1, 2, 3]);
  assert.deepEqual(froms(server), ["now", "100", "102"]);
});

test("gaps are told, those of a resume and those of a failover", async () => {
  const gap = { from: "100", to: "150", reason: "expired" };
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news");
  const told = [];
  subscription.on("subscribed", ({ recovered, gap }) => told.push([recovered, gap]));
  subscription.on("gap", (gap) => told.push(gap));
  await pass(1);
  server.socket.close();
  const body = { subscription_id: "s-2", marker: "100", recovered: false, gap };
  server.replies.subscription_create = { status: 201, body };
  await pass(1_500);
  server.socket.push({ event: "gap", queue_name: "news", from: "1", to: "2", reason: "failover" });
  assert.deepEqual(told, [[true, null], [false, gap], gap, { from: "1", to: "2", reason: "failover" }]);
});

test("after a failover it follows the store, also back", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news");
  const seen = [];
  subscription.on("message", ({ body }) => seen.push(body));
  await pass(1);
  server.socket.notify("news", 150, "lost in the store");
  server.socket.push({ event: "gap", queue_name: "news", from: "120", to: "150", reason: "failover" });
  server.socket.notify("news", 130, "after the event");
  server.socket.close();
  const gap = { from: "110", to: "130", reason: "failover" };
  const body = { subscription_id: "s-2", marker: "110", recovered: false, gap };
  server.replies.subscription_create = { status: 201, body };
  await pass(1_500);
  server.socket.notify("news", 125, "after the resume");
  assert.deepEqual(seen, ["lost in the store", "after the event", "after the resume"]);
  assert.deepEqual(froms(server), ["now", "130"]);
});

test("leaving the loop ends the subscription", async () => {
  const { server, gateway } = await connected();
  const taken = take(gateway.subscribe("news"), 1);
  await pass(1);
  server.socket.notify("news", 101, 1);
  assert.deepEqual(await taken, [1]);
  assert.equal(server.requests("subscription_delete")[0].body.subscription_id, "s-1");
  await gateway.subscribe("news").subscribed();
});

test("a queue has one subscription at a time, and it is iterated over once", async () => {
  const { gateway } = await connected();
  const subscription = gateway.subscribe("news");
  assert.throws(() => gateway.subscribe("news"), /subscription to news already/);
  subscription[Symbol.asyncIterator]();
  assert.throws(() => subscription[Symbol.asyncIterator](), TypeError);
});

test("what nobody takes waits within bounds: it is paused, and goes on where it was", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news", { maxBuffered: 4 });
  await pass(1);
  for (let n = 1; n <= 6; n += 1) server.socket.notify("news", 100 + n, n);
  assert.equal(server.requests("subscription_delete").length, 1);
  const iterator = subscription[Symbol.asyncIterator]();
  const next = async () => (await iterator.next()).value.body;
  assert.equal(await next(), 1);
  assert.equal(server.requests("subscription_create").length, 1);
  assert.equal(await next(), 2);
  assert.deepEqual(froms(server), ["now", "104"]);
  await pass(1);
  server.socket.notify("news", 105, 5);
  assert.deepEqual([await next(), await next(), await next()], [3, 4, 5]);
  assert.equal(server.requests("subscription_create").length, 2);
});

test("one that could not be paused is ended before it goes on", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news", { maxBuffered: 2 });
  await pass(1);
  const works = server.replies.subscription_create;
  server.replies.subscription_delete = { status: 503, body: { code: "store_unavailable" } };
  for (let n = 1; n <= 2; n += 1) server.socket.notify("news", 100 + n, n);
  await pass(1);
  server.replies.subscription_create = { status: 409, body: "Subscription news not created." };
  server.replies.subscription_delete = { status: 204, body: "" };
  const taken = take(subscription, 3);
  await pass(1);
  server.replies.subscription_create = works;
  await pass(1_500);
  server.socket.notify("news", 103, 3);
  assert.deepEqual(await taken, [1, 2, 3]);
  assert.equal(server.requests("subscription_delete").length, 3);
});

test("one that is paused stays so over a cut", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news", { maxBuffered: 2 });
  await pass(1);
  for (let n = 1; n <= 2; n += 1) server.socket.notify("news", 100 + n, n);
  server.socket.close();
  await pass(1_500);
  assert.equal(froms(server).length, 1);
  assert.equal((await subscription[Symbol.asyncIterator]().next()).value.body, 1);
  assert.deepEqual(froms(server), ["now", "102"]);
});

test("a handler gets what waited for it, and takes itself away", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news");
  await pass(1);
  server.socket.notify("news", 101, 1);
  const seen = [];
  const off = subscription.on("message", ({ body }) => seen.push(body));
  server.socket.notify("news", 102, 2);
  off();
  server.socket.notify("news", 103, 3);
  assert.deepEqual(seen, [1, 2]);
});

test("positions are stored when a message is handled, and a new page goes on there", async () => {
  const storage = sdk.memoryStorage();
  const { server, gateway } = await connected({ storage });
  const subscription = gateway.subscribe("news", { name: "inbox" });
  await pass(1);
  const key = "zaqar-gateway p inbox";
  assert.equal(storage.get(key), "100");
  server.socket.notify("news", 101, 1);
  server.socket.notify("news", 102, 2);
  const iterator = subscription[Symbol.asyncIterator]();
  await iterator.next();
  assert.equal(storage.get(key), "100");
  await iterator.next();
  assert.equal(storage.get(key), "101");
  gateway.close();
  const reloaded = await connected({ storage: { get: async (key) => storage.get(key), set: () => {} } });
  reloaded.gateway.subscribe("news", { name: "inbox", from: "earliest" });
  await pass(1);
  assert.deepEqual(froms(reloaded.server), ["101"]);
});

test("the message over which a loop has thrown comes again to a new page", async () => {
  const storage = sdk.memoryStorage();
  const { server, gateway } = await connected({ storage });
  const failing = async () => {
    for await (const { body } of gateway.subscribe("news")) if (body === 2) throw new Error("bad");
  };
  const failed = assert.rejects(failing(), /bad/);
  await pass(1);
  server.socket.notify("news", 101, 1);
  server.socket.notify("news", 102, 2);
  await failed;
  assert.equal(storage.get("zaqar-gateway p news"), "101");
});

test("a slow storage is written to one at a time, and the newest position last", async () => {
  const writes = [];
  let done;
  const set = (_key, value) => (writes.push(value), new Promise((resolve) => (done = resolve)));
  const { server, gateway } = await connected({ storage: { get: () => null, set } });
  gateway.subscribe("news").on("message", () => {});
  await pass(1);
  for (let n = 1; n <= 3; n += 1) server.socket.notify("news", 100 + n, n);
  assert.deepEqual(writes, ["100"]);
  done();
  await pass(1);
  assert.deepEqual(writes, ["100", "103"]);
});

test("a storage that fails, or holds what is no position, stops nothing", async () => {
  const set = () => {
    throw new Error("full");
  };
  const { server, gateway, errors } = await connected({ storage: { get: () => "nonsense", set } });
  server.replies.subscription_create = ({ body }) =>
    body.from === "nonsense"
      ? { status: 400, body: { exception: "no marker", code: "bad_request" } }
      : { status: 201, body: { subscription_id: "s", marker: "100", recovered: true, gap: null } };
  const subscription = gateway.subscribe("news");
  await subscription.subscribed();
  assert.deepEqual(froms(server), ["nonsense", "now"]);
  server.socket.notify("news", 101, 1);
  server.socket.notify("news", 102, 2);
  assert.deepEqual(await take(subscription, 2), [1, 2]);
  assert.deepEqual(errors.map(({ message }) => message.replace(/.*400 /, "")), ["no marker", "full", "full"]);
});

test("a refusal ends it, for those who wait and those who iterate", async () => {
  const { server, gateway } = await connected();
  server.replies.subscription_create = { status: 403, body: { exception: "no", code: "forbidden" } };
  const subscription = gateway.subscribe("news");
  await assert.rejects(subscription.subscribed(), sdk.NotAllowedError);
  await assert.rejects(take(subscription, 1), sdk.NotAllowedError);
  assert.equal((await outcome(subscription.subscribed())).constructor, sdk.NotAllowedError);
});

test("what has ended is taken back until the gateway has done it", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news");
  const consumer = gateway.consume("jobs", () => {});
  await pass(1);
  const busy = { status: 429, body: { code: "too_many_requests" } };
  server.replies.subscription_delete = server.replies.claim_unsubscribe = busy;
  subscription.unsubscribe();
  await consumer.stop();
  await pass(100);
  server.replies.subscription_delete = server.replies.claim_unsubscribe = { status: 204, body: "" };
  await pass(30_000);
  assert.equal(server.requests("subscription_delete").length, 2);
  assert.equal(server.requests("claim_unsubscribe").length, 2);
});

test("where nobody listens for its end, a refusal goes to the gateway's errors", async () => {
  const { server, gateway, errors } = await connected();
  const refusal = { status: 403, body: { exception: "no", code: "forbidden" } };
  server.replies.subscription_create = server.replies.claim_subscribe = refusal;
  gateway.subscribe("news").on("message", () => {});
  gateway.consume("jobs", () => {});
  await pass(1);
  assert.deepEqual(errors.map(({ action }) => action), ["claim_subscribe", "subscription_create"]);
  const heard = [];
  gateway.subscribe("other").on("ended", ({ error }) => heard.push(error.status));
  await pass(1);
  assert.deepEqual([heard, errors.length], [[403], 2]);
});

for (const [status, code] of [[503, "store_unavailable"], [429, "too_many_requests"]]) {
  test(`where it is answered ${code} it is set up later`, async () => {
    const { server, gateway } = await connected();
    const works = server.replies.subscription_create;
    server.replies.subscription_create = { status, body: { code } };
    const subscription = gateway.subscribe("news");
    await pass(100);
    server.replies.subscription_create = works;
    await pass(1_500);
    await subscription.subscribed();
  });
}

test("the gateway ends it: for good, or it is set up again", async () => {
  const { server, gateway } = await connected();
  const subscription = gateway.subscribe("news");
  await pass(1);
  const end = (reason, id = "s-1") =>
    server.socket.push({ event: "subscription_ended", queue_name: "news", subscription_id: id, reason });
  end("deleted", "somebody else's");
  end("unknown");
  await pass(1);
  assert.deepEqual(froms(server), ["now", "100"]);
  server.socket.notify("news", 101, 1);
  end("queue_deleted");
  const iterator = subscription[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).value.body, 1);
  await assert.rejects(iterator.next(), { reason: "queue_deleted" });
});

test("an AbortSignal ends it, before or while it runs", async () => {
  const { server, gateway } = await connected();
  const controller = new AbortController();
  const taken = take(gateway.subscribe("news", { signal: controller.signal }), 2).catch((error) => error);
  await pass(1);
  controller.abort(new Error("enough"));
  assert.equal((await taken).message, "enough");
  assert.equal(server.requests("subscription_delete").length, 1);
  await assert.rejects(take(gateway.subscribe("news", { signal: controller.signal }), 1), /enough/);
  assert.equal(server.requests("subscription_create").length, 1);
});

test("close ends the loops over subscriptions", async () => {
  const { server, gateway } = await connected();
  const taken = take(gateway.subscribe("news"), 5);
  await pass(1);
  server.socket.notify("news", 101, 1);
  await pass(1);
  gateway.close();
  assert.deepEqual(await taken, [1]);
});

test("a subscription that is ended before it was set up is taken back", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const subscription = gateway.subscribe("news");
  await pass(1);
  subscription.unsubscribe();
  server.socket.reply(server.requests("subscription_create")[0], { status: 201, body: { subscription_id: "s-1" } });
  assert.deepEqual(server.requests("subscription_delete")[0].body, { queue_name: "news", subscription_id: "s-1" });
});

test("a queue can be subscribed to again at once, although the one before was not set up yet", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const first = gateway.subscribe("news");
  await pass(1);
  first.unsubscribe();
  const second = gateway.subscribe("news");
  await pass(1);
  const [one, two] = server.requests("subscription_create");
  server.socket.reply(one, { status: 201, body: { subscription_id: "s-1", marker: "1", recovered: true, gap: null } });
  server.answers = true;
  server.socket.reply(two, { status: 409, body: "Subscription news not created." });
  await pass(1);
  await second.subscribed();
  assert.deepEqual(
    server.socket.requests.map(({ action }) => action).slice(-2),
    ["subscription_delete", "subscription_create"],
  );
});

test("a subscription of the socket's own that nobody takes back is a conflict", async () => {
  const { server, gateway } = await connected();
  server.replies.subscription_create = { status: 409, body: "Subscription news not created." };
  const refused = assert.rejects(gateway.subscribe("news").subscribed({ timeout: Infinity }), sdk.ConflictError);
  await pass(30_000);
  await refused;
});

test("without the extension a cut is told as a gap", async () => {
  const { server, gateway } = await connected({ extension: false }, (server) => (server.protocol = ""));
  server.replies.subscription_create = { status: 201, body: { subscription_id: "s", message: "created" } };
  const subscription = gateway.subscribe("news", { maxBuffered: 2 });
  const gaps = [];
  subscription.on("gap", ({ reason }) => gaps.push(reason));
  await pass(1);
  assert.deepEqual(server.requests("subscription_create")[0].body, { queue_name: "news", ttl: 2_592_000 });
  server.socket.close();
  await pass(1_500);
  for (const n of [1, 2, 3]) server.socket.push({ Message_Type: "Notification", queue_name: "news", body: n, ttl: 60 });
  assert.deepEqual(gaps, ["no_resume", "overflow"]);
  assert.equal(server.requests("subscription_delete").length, 0);
  assert.deepEqual(await take(subscription, 2), [1, 2]);
  const late = gateway.subscribe("old", { from: "earliest" });
  await assert.rejects(late.subscribed(), sdk.UnsupportedError);
});

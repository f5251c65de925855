import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import * as sdk from "../src/index.js";
import { connected, outcome, pass, startTime, stopTime } from "./support.js";

beforeEach(stopTime);
afterEach(startTime);

test("refusals are errors by status, with the code of the gateway", async () => {
  const { server, gateway } = await connected();
  const kinds = {
    400: sdk.BadRequestError, 401: sdk.NotAllowedError, 403: sdk.NotAllowedError, 404: sdk.NotFoundError,
    409: sdk.ConflictError, 429: sdk.UnavailableError, 500: sdk.ServerError, 503: sdk.UnavailableError,
    418: sdk.ReplyError,
  };
  for (const [status, kind] of Object.entries(kinds)) {
    server.replies.message_get = { status: Number(status), body: { exception: "why", error: null, code: "c" } };
    const error = await outcome(gateway.queue("q").get("m"));
    assert.equal(error.constructor, kind);
    assert.ok(error instanceof sdk.ReplyError && error instanceof sdk.GatewayError);
    assert.deepEqual([error.status, error.code, error.action], [Number(status), "c", "message_get"]);
    assert.equal(error.retryable, ["429", "503"].includes(status));
    assert.equal(error.message, `message_get: ${status} why`);
  }
});

test("a body that is a text, and one with a detail, are told", async () => {
  const { server, gateway } = await connected();
  server.replies.message_get = { status: 409, body: "There already." };
  assert.equal((await outcome(gateway.queue("q").get("m"))).message, "message_get: 409 There already.");
  server.replies.message_get = { status: 400, body: { error: "Schema.", detail: "limit" } };
  assert.equal((await outcome(gateway.queue("q").get("m"))).message, "message_get: 400 Schema.: limit");
});

test("a call times out, and tells whether it was sent", async () => {
  const { server, gateway } = await connected();
  server.replies.message_get = null;
  const sent = gateway.queue("q").get("m", { timeout: 500 });
  sent.catch(() => {});
  await pass(550);
  const error = await outcome(sent);
  assert.equal(error.constructor, sdk.TimeoutError);
  assert.equal(error.sent, true);
  server.opens = false;
  server.socket.close();
  const waiting = gateway.queue("q").get("m", { timeout: 500 });
  waiting.catch(() => {});
  await pass(550);
  assert.equal((await outcome(waiting)).sent, false);
});

test("a timeout that is undefined is the default", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const subscribed = gateway.subscribe("q").subscribed({ timeout: undefined }).catch((error) => error);
  server.socket.close();
  const reconnected = gateway.connected({ timeout: undefined }).catch((error) => error);
  await pass(10_100);
  assert.ok((await subscribed) instanceof sdk.TimeoutError);
  assert.ok((await reconnected) instanceof sdk.TimeoutError);
});

test("an AbortSignal ends a call with its reason", async () => {
  const { server, gateway } = await connected();
  server.replies.message_get = null;
  const controller = new AbortController();
  const call = gateway.queue("q").get("m", { signal: controller.signal });
  controller.abort(new Error("enough"));
  assert.equal((await outcome(call)).message, "enough");
  const late = gateway.queue("q").get("m", { signal: controller.signal });
  assert.equal((await outcome(late)).message, "enough");
  assert.equal(server.requests("message_get").length, 1);
});

test("what is called before there is a connection waits for it", async () => {
  const { server, gateway } = await connected({}, (server) => (server.opens = false));
  const call = gateway.queues();
  assert.equal(await outcome(call), "waits");
  server.replies.queue_list = { status: 200, body: { queues: [], marker: null } };
  server.socket.open();
  assert.deepEqual(await call, { queues: [], marker: null });
});

test("after a cut it is sent again where that does no harm", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const read = gateway.queue("q").get("m");
  const pop = gateway.queue("q").pop().catch((error) => error);
  const claim = gateway.queue("q").claim().catch((error) => error);
  await pass(1);
  server.socket.close();
  server.answers = true;
  server.replies.message_get = { status: 200, body: { messages: { id: "m", body: 1, ttl: 60, age: 0 } } };
  assert.ok((await pop) instanceof sdk.OutcomeUnknownError);
  assert.ok((await claim) instanceof sdk.OutcomeUnknownError);
  await pass(1_500);
  assert.deepEqual(await read, { queue: "q", id: "m", body: 1, ttl: 60, age: 0 });
});

test("a request that is too large ends itself, and is not sent again", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const call = gateway.queue("q").create({ metadata: { large: "x" } }).catch((error) => error);
  await pass(1);
  server.socket.close(1009);
  const error = await call;
  assert.ok(error instanceof sdk.DisconnectedError);
  assert.equal(error.tooLarge, true);
  server.answers = true;
  await pass(1_500);
  assert.equal(gateway.state, "connected");
  assert.equal(server.requests("queue_create").length, 1);
});

test("what cannot be told as JSON is rejected and nothing is sent", async () => {
  const { server, gateway } = await connected();
  assert.ok((await outcome(gateway.call("queue_create", { queue_name: 1n }))) instanceof TypeError);
  assert.ok((await outcome(gateway.queue("q").post(1n))) instanceof TypeError);
  assert.equal(await outcome(gateway.queue("q").post("next")), "m-1");
  assert.equal(server.requests("queue_create").length, 0);
});

test("without the extension replies are matched by the echoed header, or else by order", async () => {
  const { server, gateway } = await connected({ extension: false }, (server) => (server.protocol = ""));
  assert.deepEqual(server.socket.client.protocols, []);
  assert.equal(gateway.extended, false);
  server.answers = false;
  const calls = ["a", "b", "c"].map((name) => gateway.queue(name).metadata());
  await pass(1);
  const [a, b, c] = server.requests("queue_get");
  assert.ok(!("id" in a) && !("echo" in a));
  server.socket.reply(b, { status: 200, body: { name: "b" } });
  server.socket.push({ request: { action: null, headers: {} }, body: { name: "a" }, headers: { status: 200 } });
  server.socket.reply(c, { status: 200, body: { name: "c" } });
  assert.deepEqual(await Promise.all(calls), [{ name: "a" }, { name: "b" }, { name: "c" }]);
  server.answers = true;
  await pass(25_100);
  assert.deepEqual(server.requests("queue_list")[0].body, { limit: 1 });
});

test("one handler that throws, or rejects, stops no other", async () => {
  const { server, gateway, errors } = await connected();
  const subscription = gateway.subscribe("news");
  const seen = [];
  subscription.on("message", () => {
    throw new Error("first");
  });
  subscription.on("message", async () => {
    throw new Error("second");
  });
  subscription.on("message", ({ body }) => seen.push(body));
  await pass(1);
  server.socket.notify("news", 101, "one");
  server.socket.notify("news", 102, "two");
  await pass(1);
  assert.deepEqual(seen, ["one", "two"]);
  assert.deepEqual(errors.map(({ message }) => message).sort(), ["first", "first", "second", "second"]);
});

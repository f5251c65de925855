import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import * as sdk from "../src/index.js";
import { connected, outcome, pass, startTime, stopTime } from "./support.js";

beforeEach(stopTime);
afterEach(startTime);

/** Push messages that are leased to a consumer, behind what was answered so far. */
async function lease(server, consumer, ids, claimCount = 1) {
  await pass(1);
  const claim_id = consumer.claimId;
  const messages = ids.map((id) => ({ id, body: id, ttl: 3600, age: 0, claim_id, claim_count: claimCount }));
  server.socket.push({ event: "claim", queue_name: "jobs", claim_id, messages });
}

/** A handler whose runs end when the test says so. */
function manual() {
  const runs = new Map();
  const handler = ({ id }, { signal }) => new Promise((resolve, reject) => runs.set(id, { resolve, reject, signal }));
  return { runs, handler };
}

const deleted = (server) => server.requests("message_delete").map(({ body }) => body.message_id);

test("messages are handled and acknowledged with their claim", async () => {
  const { server, gateway } = await connected();
  const seen = [];
  const consumer = gateway.consume("jobs", ({ id, claimCount }) => seen.push([id, claimCount]), { concurrency: 3 });
  assert.deepEqual(server.requests("claim_subscribe")[0].body, {
    queue_name: "jobs", claim_id: consumer.claimId, credit: 3, ttl: 300, grace: 60,
  });
  await lease(server, consumer, ["a", "b"]);
  await pass(1);
  assert.deepEqual(seen, [["a", 1], ["b", 1]]);
  assert.deepEqual(server.requests("message_delete").map(({ body }) => body), [
    { queue_name: "jobs", claim_id: consumer.claimId, message_id: "a" },
    { queue_name: "jobs", claim_id: consumer.claimId, message_id: "b" },
  ]);
});

test("a handler that fails gives its message back after a while, the others go on", async () => {
  mock.method(Math, "random", () => 0);
  const { server, gateway } = await connected();
  const consumer = gateway.consume("jobs", ({ id }) => {
    if (id === "bad") throw new Error("cannot");
  });
  const failed = [];
  consumer.on("failed", ({ message, error }) => failed.push([message.id, error.message]));
  await lease(server, consumer, ["bad", "good"], 2);
  await pass(400);
  assert.deepEqual([failed, deleted(server)], [[["bad", "cannot"]], ["good"]]);
  assert.equal(server.requests("message_release").length, 0);
  await pass(200);
  assert.deepEqual(server.requests("message_release")[0].body, {
    queue_name: "jobs", claim_id: consumer.claimId, message_ids: ["bad"],
  });
});

test("without a handler for it a failure goes to the gateway's errors", async () => {
  const { server, gateway, errors } = await connected();
  const consumer = gateway.consume("jobs", async () => {
    throw new Error("cannot");
  });
  await lease(server, consumer, ["a"]);
  await pass(1);
  assert.equal(errors[0].message, "cannot");
});

test("leases are renewed while there is work, and only then", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler, { ttl: 60, grace: 90 });
  await pass(21_000);
  assert.equal(server.requests("claim_update").length, 0);
  await lease(server, consumer, ["a"]);
  await pass(40_000);
  assert.deepEqual(server.requests("claim_update").map(({ body }) => body), [
    { queue_name: "jobs", claim_id: consumer.claimId, ttl: 60, grace: 90 },
    { queue_name: "jobs", claim_id: consumer.claimId, ttl: 60, grace: 90 },
  ]);
  server.replies.claim_update = { status: 404, body: { code: "not_found" } };
  const lost = [];
  consumer.on("lost", ({ id }) => lost.push(id));
  await pass(20_000);
  assert.deepEqual(lost, ["a"]);
  assert.ok(runs.get("a").signal.reason instanceof sdk.LeaseLostError);
});

test("after a cut it goes on with its claim: nothing is handled twice, and all is acknowledged", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler, { concurrency: 3 });
  await lease(server, consumer, ["done", "working"]);
  server.replies.message_delete = null;
  runs.get("done").resolve();
  await pass(1);
  server.socket.close();
  server.replies.message_delete = { status: 204, body: {} };
  server.replies.claim_subscribe = ({ body }) => ({ status: 201, body: { claim_id: body.claim_id, held: 2 } });
  await pass(1_500);
  const claims = server.requests("claim_subscribe").map(({ body }) => body.claim_id);
  assert.deepEqual(claims, [consumer.claimId, consumer.claimId]);
  await lease(server, consumer, ["working", "done"]);
  await pass(1);
  assert.deepEqual(deleted(server), ["done", "done"]);
  assert.equal(runs.size, 2);
  assert.equal(runs.get("working").signal.aborted, false);
  runs.get("working").resolve();
  await pass(1);
  assert.deepEqual(deleted(server), ["done", "done", "working"]);
});

test("what is finished while it comes again is not handled again, but when it is leased anew", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler, { concurrency: 2 });
  await lease(server, consumer, ["a"]);
  server.socket.close();
  server.replies.claim_subscribe = ({ body }) => ({ status: 201, body: { claim_id: body.claim_id, held: 1 } });
  await pass(1_500);
  runs.get("a").resolve();
  runs.clear();
  await lease(server, consumer, ["a"]);
  assert.deepEqual([deleted(server), runs.size], [["a"], 0]);
  await lease(server, consumer, ["a"], 2);
  assert.equal(runs.size, 1);
});

test("what did not come again after a cut is lost", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler, { concurrency: 2 });
  const lost = [];
  consumer.on("lost", ({ id }) => lost.push(id));
  await lease(server, consumer, ["a", "b"]);
  server.socket.close();
  server.replies.claim_subscribe = ({ body }) => ({ status: 201, body: { claim_id: body.claim_id, held: 1 } });
  await pass(1_500);
  assert.deepEqual(lost, []);
  await lease(server, consumer, ["b"]);
  assert.deepEqual(lost, ["a"]);
  assert.deepEqual([runs.get("a").signal.aborted, runs.get("b").signal.aborted], [true, false]);
});

test("a message that is somebody else's when it is done is told as lost", async () => {
  const { server, gateway } = await connected();
  server.replies.message_delete = { status: 403, body: { code: "forbidden" } };
  const consumer = gateway.consume("jobs", () => {});
  const lost = [];
  consumer.on("lost", ({ id }) => lost.push(id));
  await lease(server, consumer, ["a"]);
  await pass(1);
  assert.deepEqual(lost, ["a"]);
});

for (const [status, code] of [[503, "store_unavailable"], [429, "too_many_requests"]]) {
  test(`where it is answered ${code} acknowledging is tried again`, async () => {
    const { server, gateway } = await connected();
    server.replies.message_delete = { status, body: { code } };
    const consumer = gateway.consume("jobs", () => {});
    const lost = [];
    consumer.on("lost", ({ id }) => lost.push(id));
    await lease(server, consumer, ["a"]);
    await pass(100);
    server.replies.message_delete = { status: 204, body: {} };
    await pass(2_000);
    assert.deepEqual(deleted(server), ["a", "a"]);
    assert.deepEqual(lost, []);
  });
}

test("stop waits for what is worked on, takes no more, and gives back the rest", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler, { concurrency: 2 });
  const ended = [];
  consumer.on("ended", ({ error }) => ended.push(error));
  await lease(server, consumer, ["a"]);
  const stopped = consumer.stop();
  await lease(server, consumer, ["b"]);
  assert.equal(await outcome(stopped), "waits");
  assert.deepEqual([...runs.keys()], ["a"]);
  runs.get("a").resolve();
  await stopped;
  assert.deepEqual(deleted(server), ["a"]);
  assert.equal(server.requests("claim_unsubscribe").length, 1);
  assert.deepEqual(ended, [undefined]);
});

test("stop does not wait to give back what has failed", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler, { concurrency: 2 });
  consumer.on("failed", () => {});
  await lease(server, consumer, ["a", "b"], 10);
  runs.get("a").reject(new Error("cannot"));
  await pass(1);
  const stopped = consumer.stop();
  runs.get("b").reject(new Error("cannot"));
  await stopped;
  assert.equal(server.requests("claim_unsubscribe").length, 1);
  await pass(60_000);
  assert.equal(server.requests("message_release").length, 0);
});

test("stop with a time ends it all the same, and aborts what is worked on", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler);
  await lease(server, consumer, ["a"]);
  const stopped = consumer.stop({ timeout: 500 }).catch((error) => error);
  await pass(600);
  assert.equal((await stopped).code, "timeout");
  assert.equal(runs.get("a").signal.aborted, true);
  assert.equal(server.requests("claim_unsubscribe").length, 1);
});

test("a signal stops it", async () => {
  const { server, gateway } = await connected();
  const controller = new AbortController();
  gateway.consume("jobs", () => {}, { signal: controller.signal });
  controller.abort();
  await pass(1);
  assert.equal(server.requests("claim_unsubscribe").length, 1);
  gateway.consume("jobs", () => {}, { signal: controller.signal });
  await pass(1);
  assert.equal(server.requests("claim_unsubscribe").length, 2);
});

test("the gateway ends it", async () => {
  const { server, gateway } = await connected();
  const consumer = gateway.consume("jobs", () => {});
  const ended = [];
  consumer.on("ended", ({ error }) => ended.push(error.reason));
  await pass(1);
  server.socket.push({ event: "claim_ended", queue_name: "jobs", claim_id: consumer.claimId, reason: "taken_over" });
  assert.deepEqual(ended, ["taken_over"]);
  await consumer.stop();
});

test("it needs the extension, and a claim that is allowed", async () => {
  const ended = [];
  const plain = await connected({ extension: false }, (server) => (server.protocol = ""));
  plain.gateway.consume("jobs", () => {}).on("ended", ({ error }) => ended.push(error.constructor));
  const { server, gateway } = await connected();
  server.replies.claim_subscribe = { status: 400, body: { code: "too_many_consumers" } };
  gateway.consume("jobs", () => {}).on("ended", ({ error }) => ended.push(error.constructor));
  await pass(1);
  assert.deepEqual(ended, [sdk.UnsupportedError, sdk.BadRequestError]);
});

test("close stops the consumers and aborts what they work on", async () => {
  const { server, gateway } = await connected();
  const { runs, handler } = manual();
  const consumer = gateway.consume("jobs", handler);
  await lease(server, consumer, ["a"]);
  gateway.close();
  assert.equal(runs.get("a").signal.aborted, true);
  runs.get("a").reject(new Error("aborted"));
  await pass(60_000);
  assert.equal(server.sockets.length, 1);
});

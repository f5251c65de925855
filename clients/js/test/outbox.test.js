import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import * as sdk from "../src/index.js";
import { connected, outcome, pass, startTime, stopTime } from "./support.js";

beforeEach(stopTime);
afterEach(startTime);

const bodies = (request) => request.body.messages.map(({ body }) => body);
const caught = (promise) => promise.catch((error) => error);

test("a post is answered with its id, several with theirs", async () => {
  const { server, gateway } = await connected();
  const queue = gateway.queue("q");
  assert.equal(await queue.post("a", { ttl: 60, delay: 1, dedupId: "mine" }), "m-1");
  assert.deepEqual(await queue.postMany([{ body: "b" }, { body: null }]), ["m-2", "m-3"]);
  const [first, second] = server.requests("message_post");
  assert.deepEqual(first.body, {
    queue_name: "q", messages: [{ body: "a", ttl: 60, delay: 1, dedup_id: "mine" }],
  });
  const ids = second.body.messages.map(({ dedup_id }) => dedup_id);
  assert.equal(new Set(ids).size, 2);
  for (const id of ids) assert.match(id, /^[0-9a-f-]{36}-\d+$/);
});

test("posts that wait go out together, in order, one request of a queue at a time", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const posts = ["a", "b", "c"].map((body) => gateway.queue("q").post(body));
  gateway.queue("other").post("x").catch(() => {});
  await pass(1);
  const [first, other] = server.requests("message_post");
  assert.deepEqual([bodies(first), bodies(other)], [["a"], ["x"]]);
  server.socket.reply(first, { status: 201, body: { message_ids: ["m-a"] } });
  const second = server.requests("message_post")[2];
  assert.deepEqual(bodies(second), ["b", "c"]);
  server.socket.reply(second, { status: 201, body: { message_ids: ["m-b", "m-c"] } });
  assert.deepEqual(await Promise.all(posts), ["m-a", "m-b", "m-c"]);
});

test("no request holds more than a hundred messages, but for a post that does itself", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  for (let n = 0; n < 300; n += 1) caught(gateway.queue("q").post(n));
  caught(gateway.queue("q").postMany(Array.from({ length: 150 }, (_, n) => ({ body: n }))));
  server.answers = true;
  const [first] = server.requests("message_post");
  server.socket.reply(first, { status: 201, body: { message_ids: ["m"] } });
  await pass(1);
  const sizes = server.requests("message_post").map(({ body }) => body.messages.length);
  assert.deepEqual(sizes, [1, 100, 100, 99, 150]);
});

test("a post whose reply was lost is sent again with the same dedup_id, before later ones", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const first = gateway.queue("q").post("a");
  await pass(1);
  server.socket.close();
  const second = gateway.queue("q").post("b");
  server.answers = true;
  await pass(1_500);
  const [lost, again] = server.requests("message_post");
  assert.deepEqual(bodies(again), ["a", "b"]);
  assert.equal(again.body.messages[0].dedup_id, lost.body.messages[0].dedup_id);
  assert.deepEqual(await Promise.all([first, second]), ["m-1", "m-2"]);
});

test("while the store does not answer it is tried again, later each time", async () => {
  const { server, gateway } = await connected();
  mock.method(Math, "random", () => 0);
  let failures = 3;
  const post = server.replies.message_post;
  const away = { status: 503, body: { error: null, exception: "away", code: "store_unavailable" } };
  server.replies.message_post = (request) => (failures-- > 0 ? away : post(request));
  const posted = gateway.queue("q").post("a");
  await pass(1_400);
  assert.equal(await outcome(posted), "waits");
  await pass(200);
  assert.equal(await posted, "m-1");
});

test("a refusal is for the post whose fault it is", async () => {
  const { server, gateway } = await connected();
  const store = server.replies.message_post;
  const refusal = { status: 400, body: { exception: "bad", code: "bad_request" } };
  server.replies.message_post = (request) => (bodies(request).includes("bad") ? refusal : store(request));
  const posts = ["a", "b", "bad", "c"].map((body) => caught(gateway.queue("q").post(body)));
  const [a, b, bad, c] = await Promise.all(posts);
  assert.deepEqual([a, b, c], ["m-1", "m-2", "m-3"]);
  assert.equal(bad.constructor, sdk.BadRequestError);
});

test("a post that is too large breaks no second connection, and takes no other with it", async () => {
  const { server, gateway } = await connected();
  const store = server.replies.message_post;
  server.replies.message_post = (request) => {
    if (!bodies(request).includes("huge")) return store(request);
    server.socket.close(1009);
    return null;
  };
  const posts = ["a", "huge", "b"].map((body) => caught(gateway.queue("q").post(body)));
  await pass(5_000);
  const [a, huge, b] = await Promise.all(posts);
  assert.deepEqual([a, b], ["m-1", "m-2"]);
  assert.equal(huge.constructor, sdk.DisconnectedError);
  assert.equal(server.sockets.length, 3);
});

test("what is larger than a frame may be is refused here, and disturbs nothing else", async () => {
  const limits = { max_frame_bytes: 1_000 };
  const { server, gateway } = await connected({}, (server) => {
    server.replies.describe = { status: 200, body: { limits } };
  });
  const queue = gateway.queue("q");
  const large = "é".repeat(450);
  const posts = [queue.post("a"), caught(queue.post(large)), queue.post("b"), caught(gateway.call("x", { large }))];
  const [a, refused, b, call] = await Promise.all(posts);
  assert.deepEqual([a, b], ["m-1", "m-2"]);
  for (const error of [refused, call]) {
    assert.ok(error instanceof sdk.BadRequestError);
    assert.equal(error.code, "frame_too_large");
  }
  assert.equal(server.sockets.length, 1);
});

test("it is bounded in count and in bytes, and takes more when there is room", async () => {
  const { server, gateway } = await connected({ outbox: { maxCount: 2, maxBytes: 1_000 } });
  server.answers = false;
  const queue = gateway.queue("q");
  const first = queue.post("a");
  const large = await caught(queue.post("é".repeat(450)));
  assert.equal(large.constructor, sdk.OutboxFullError);
  caught(queue.post("b"));
  assert.equal((await caught(queue.post("c"))).code, "outbox_full");
  server.socket.reply(server.requests("message_post")[0], { status: 201, body: { message_ids: ["m"] } });
  assert.equal(await first, "m");
  assert.equal(await outcome(queue.post("c")), "waits");
});

test("what was sent fails when a repeat could be stored twice, what was not goes on", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const sent = caught(gateway.queue("q").post("a"));
  await pass(1);
  server.opens = false;
  server.socket.close();
  const waiting = gateway.queue("q").post("b");
  await pass(539_000);
  assert.equal(await outcome(sent), "waits");
  await pass(2_000);
  const error = await sent;
  assert.equal(error.constructor, sdk.OutcomeUnknownError);
  assert.equal(error.cause.constructor, sdk.DisconnectedError);
  server.answers = server.opens = true;
  await pass(35_000); // the longest try to connect, and the longest pause behind it
  assert.equal(await waiting, "m-1");
  assert.deepEqual(bodies(server.requests("message_post").at(-1)), ["b"]);
});

test("the time that a device slept counts, although its timers stood still", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const sent = caught(gateway.queue("q").post("a"));
  await pass(1);
  mock.timers.setTime(Date.now() + 1); // the clock of the mock can only be moved with its timers
  const now = Date.now;
  Date.now = () => now() + 600_000;
  try {
    server.answers = true;
    server.socket.close();
    await pass(1_500);
    assert.equal((await sent).constructor, sdk.OutcomeUnknownError);
    assert.equal(server.requests("message_post").length, 1);
  } finally {
    Date.now = now;
  }
});

test("a post can be given a time, or be aborted, and is not sent then", async () => {
  const { server, gateway } = await connected();
  server.opens = false;
  server.socket.close();
  const controller = new AbortController();
  const late = caught(gateway.queue("q").post("late", { timeout: 300 }));
  const aborted = caught(gateway.queue("q").post("aborted", { signal: controller.signal }));
  const kept = gateway.queue("q").post("kept");
  controller.abort(new Error("enough"));
  await pass(400);
  assert.deepEqual([(await late).code, (await late).sent, (await aborted).message], ["timeout", false, "enough"]);
  server.opens = true;
  await pass(25_000);
  assert.equal(await kept, "m-1");
  assert.deepEqual(bodies(server.requests("message_post")[0]), ["kept"]);
});

test("without the extension there is no dedup_id, and a lost reply is told", async () => {
  const { server, gateway } = await connected({ extension: false }, (server) => (server.protocol = ""));
  assert.equal(await gateway.queue("q").post("a"), "m-1");
  assert.deepEqual(server.requests("message_post")[0].body.messages, [{ body: "a" }]);
  server.answers = false;
  const lost = caught(gateway.queue("q").post("b"));
  await pass(1);
  server.socket.close();
  const waiting = gateway.queue("q").post("c");
  assert.equal((await lost).constructor, sdk.OutcomeUnknownError);
  server.answers = true;
  await pass(1_500);
  assert.equal(await waiting, "m-2");
});

test("what waits when the connection is closed for good is rejected", async () => {
  const { server, gateway } = await connected();
  server.answers = false;
  const sent = caught(gateway.queue("q").post("a"));
  const waiting = caught(gateway.queue("q").post("b"));
  await pass(1);
  gateway.close();
  assert.equal((await sent).constructor, sdk.OutcomeUnknownError);
  assert.equal((await waiting).constructor, sdk.ClosedError);
  assert.equal((await caught(gateway.queue("q").post("c"))).constructor, sdk.ClosedError);
});

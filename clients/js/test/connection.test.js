import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { ClosedError, NotAllowedError } from "../src/index.js";
import { afterClose, backoff } from "../src/backoff.js";
import { connected, outcome, pass, startTime, stopTime } from "./support.js";

beforeEach(stopTime);
afterEach(startTime);

const states = (gateway) => {
  const seen = [];
  gateway.on("state", ({ state, delay }) => seen.push(delay === undefined ? state : [state, delay]));
  return seen;
};

test("the back-off doubles up to its bound, with full jitter", () => {
  const bounds = { min: 500, max: 20_000 };
  mock.method(Math, "random", () => 0);
  assert.equal(backoff(5, bounds), 500);
  mock.method(Math, "random", () => 0.999999);
  const most = [0, 1, 2, 3, 10, 10_000].map((tries) => Math.round(backoff(tries, bounds)));
  assert.deepEqual(most, [1_000, 1_500, 2_500, 4_500, 20_000, 20_000]);
});

test("close codes say what to do", () => {
  const plans = [1000, 1006, 1009, 1012, 4000, 4003, 4099, 4100, 4199, 4200, 4299, 4300].map(afterClose);
  const wanted = "backoff backoff backoff spread stop token stop backoff backoff now now backoff";
  assert.deepEqual(plans, wanted.split(" "));
});

test("it asks for the extension, learns the limits, and is connected", async () => {
  const { server, gateway } = await connected();
  assert.deepEqual(server.socket.client.protocols, ["zaqar-gateway.v1"]);
  assert.equal(gateway.state, "connected");
  assert.equal(gateway.extended, true);
  assert.equal(gateway.limits.dedup_window, 600);
  const [describe] = server.requests("describe");
  assert.equal(describe.echo, false);
  assert.equal(describe.headers["X-Project-ID"], "p");
  assert.match(describe.headers["Client-ID"], /^[0-9a-f-]{36}$/);
});

test("it connects again after a cut, later each time that fails", async () => {
  const { server, gateway } = await connected();
  mock.method(Math, "random", () => 0.5);
  const seen = states(gateway);
  server.opens = false;
  server.socket.close();
  await pass(750);
  server.socket.close();
  await pass(1_000);
  server.opens = true;
  server.socket.close();
  await pass(1_500);
  assert.deepEqual(seen, [
    ["waiting", 750], "connecting", ["waiting", 1_000], "connecting", ["waiting", 1_500], "connecting", "connected",
  ]);
});

test("a handshake that takes too long is a failure", async () => {
  const { server, gateway } = await connected({}, (server) => (server.opens = false));
  assert.equal(gateway.state, "connecting");
  await pass(10_000);
  assert.equal(gateway.state, "waiting");
  assert.equal(server.sockets[0].left, true);
});

test("a connection that lasted counts as a success, a short one does not", async () => {
  const { server, gateway } = await connected();
  mock.method(Math, "random", () => 1);
  const seen = states(gateway);
  server.socket.close();
  await pass(1_000);
  server.socket.close();
  await pass(1_500);
  await pass(5_000);
  server.socket.close();
  const delays = seen.filter(Array.isArray).map(([, delay]) => delay);
  assert.deepEqual(delays, [1_000, 1_500, 1_000]);
});

test("40xx ends it for good, and every call is told why", async () => {
  const { server, gateway } = await connected();
  server.replies.message_get = null;
  const waits = gateway.queue("q").get("m").catch((error) => error);
  const next = gateway.subscribe("news")[Symbol.asyncIterator]().next();
  await pass(1);
  server.socket.close(4001, "no");
  await assert.rejects(next, ClosedError);
  const error = await waits;
  assert.ok(error instanceof ClosedError);
  assert.equal(error.closeCode, 4001);
  assert.equal(gateway.state, "closed");
  await assert.rejects(gateway.call("queue_list"), ClosedError);
  assert.throws(() => gateway.subscribe("q"), ClosedError);
  await pass(60_000);
  assert.equal(server.sockets.length, 1);
});

test("42xx connects at once, but not again and again", async () => {
  const { server, gateway } = await connected();
  const seen = states(gateway);
  server.socket.close(4200);
  await pass(1);
  assert.equal(gateway.state, "connected");
  server.socket.close(4200);
  const delays = seen.filter(Array.isArray).map(([, delay]) => delay);
  assert.equal(delays[0], 0);
  assert.ok(delays[1] >= 500);
});

test("41xx and 1006 back off, 1012 spreads over five seconds", async () => {
  mock.method(Math, "random", () => 0.5);
  for (const [code, delay] of [[4100, 750], [1006, 750], [1012, 2_500]]) {
    const { server, gateway } = await connected();
    const seen = states(gateway);
    server.socket.close(code);
    assert.deepEqual(seen, [["waiting", delay]]);
    gateway.close();
  }
});

test("a gateway that stops says when to come back", async () => {
  const { server, gateway } = await connected();
  const seen = states(gateway);
  const told = [];
  gateway.on("draining", (event) => told.push(event.reconnect_after_ms));
  server.socket.push({ event: "draining", reconnect_after_ms: 3_000 });
  await pass(100);
  server.socket.close(1012);
  assert.deepEqual(told, [3_000]);
  assert.deepEqual(seen, [["waiting", 2_900]]);
});

test("it authenticates before anything else", async () => {
  const { server } = await connected({ getToken: async () => "t-1" });
  const [first] = server.socket.requests;
  assert.equal(first.action, "authenticate");
  assert.equal(first.headers["X-Auth-Token"], "t-1");
  assert.equal(first.headers["X-Project-ID"], "p");
  assert.ok(!("X-Auth-Token" in server.requests("describe")[0].headers));
});

test("a token that expires is renewed on the same socket", async () => {
  let tokens = 0;
  const { server, errors } = await connected({
    getToken: () => {
      if (++tokens === 2) throw new Error("the identity service is away");
      return `t-${tokens}`;
    },
  });
  server.socket.push({ event: "token_expiring", seconds: 60 });
  await pass(1_000);
  const sent = server.requests("authenticate").map(({ headers }) => headers["X-Auth-Token"]);
  assert.deepEqual(sent, ["t-1", "t-3"]);
  assert.equal(server.sockets.length, 1);
  assert.match(errors[0].message, /identity service/);
});

test("a renewal that the gateway cannot decide about now is tried again", async () => {
  const { server, gateway, errors } = await connected({ getToken: () => "t" });
  const works = server.replies.authenticate;
  server.replies.authenticate = { status: 503, body: { code: "unavailable" } };
  server.socket.push({ event: "token_expiring", seconds: 60 });
  await pass(100);
  server.replies.authenticate = works;
  await pass(1_500);
  assert.equal(server.requests("authenticate").length, 3);
  assert.deepEqual(errors.map(({ status }) => status), [503]);
  assert.equal(server.sockets.length, 1);
  assert.equal(gateway.state, "connected");
});

test("who is logged out when the token is to be renewed is disconnected", async () => {
  const answers = ["t", null];
  const { server, gateway } = await connected({ getToken: () => answers.shift() });
  server.socket.push({ event: "token_expiring", seconds: 60 });
  await pass(1);
  assert.equal(gateway.state, "closed");
  await assert.rejects(gateway.call("queue_list"), /there is no token/);
});

test("without the token that is needed every call is told so, and nobody asks again", async () => {
  const refusal = { status: 403, body: { error: "Not authentified.", code: "not_authenticated" } };
  const { server, gateway } = await connected({}, (server) => (server.replies.describe = refusal));
  assert.equal(gateway.state, "closed");
  const error = await outcome(gateway.queue("q").post(1));
  assert.ok(error instanceof ClosedError);
  assert.ok(error.cause instanceof NotAllowedError);
  assert.match(error.message, /Not authentified/);
  await pass(60_000);
  assert.equal(server.sockets.length, 1);
});

test("4003 connects again with a new token, and without getToken ends it", async () => {
  let tokens = 0;
  const { server, gateway } = await connected({ getToken: () => `t-${++tokens}` });
  server.socket.close(4003, "Authentication expired.");
  await pass(1);
  assert.equal(gateway.state, "connected");
  assert.deepEqual(server.requests("authenticate").map(({ headers }) => headers["X-Auth-Token"]), ["t-1", "t-2"]);
  const other = await connected();
  other.server.socket.close(4003);
  assert.equal(other.gateway.state, "closed");
});

test("a token that is refused twice ends it", async () => {
  let tokens = 0;
  const refuse = (server) => (server.replies.authenticate = { status: 401, body: { error: "Authentication failed." } });
  const { server, gateway } = await connected({ getToken: () => `t-${++tokens}` }, refuse);
  await pass(2_000);
  assert.equal(gateway.state, "closed");
  assert.equal(server.sockets.length, 2);
  const error = await outcome(gateway.connected());
  assert.ok(error instanceof ClosedError);
  assert.ok(error.cause instanceof NotAllowedError);
});

test("getToken that fails is asked again later, and null ends it", async () => {
  const answers = [new Error("away"), "t"];
  const getToken = () => {
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next ?? null;
  };
  const { gateway, server, errors } = await connected({ getToken });
  await pass(1_000);
  assert.equal(gateway.state, "connected");
  assert.equal(errors.length, 1);
  server.socket.close();
  await pass(2_000);
  assert.equal(gateway.state, "closed");
});

test("an address that is none ends it with the reason", async () => {
  class Refuses {
    constructor() {
      throw new SyntaxError("not an address");
    }
  }
  const { gateway } = await connected({ WebSocket: Refuses });
  assert.equal(gateway.state, "closed");
  await assert.rejects(gateway.connected(), /not an address/);
});

test("silence is followed by a question, and no answer to that by a new connection", async () => {
  const { server, gateway } = await connected();
  await pass(24_000);
  assert.equal(server.requests("ping_node").length, 0);
  await pass(1_100);
  assert.equal(server.requests("ping_node").length, 1);
  assert.equal(gateway.state, "connected");
  server.answers = false;
  await pass(25_100);
  assert.equal(server.requests("ping_node").length, 2);
  await pass(9_000);
  assert.equal(gateway.state, "connected");
  await pass(1_100);
  assert.notEqual(gateway.state, "connected");
  assert.equal(server.sockets[0].left, true);
});

test("notifications do not hide that requests get no reply", async () => {
  const { server, gateway } = await connected();
  gateway.subscribe("news");
  await pass(1);
  server.answers = false;
  gateway.call("queue_list", {}, { timeout: Infinity }).catch(() => {});
  for (let second = 1; second <= 10; second += 1) {
    await pass(1_000);
    server.sockets[0].notify("news", 100 + second, second);
  }
  await pass(100);
  assert.equal(server.sockets[0].left, true);
});

test("checkNow connects without delay, and finds a dead socket soon", async () => {
  let look;
  const { server, gateway } = await connected({ wake: (check) => ((look = check), () => (look = null)) });
  server.socket.close();
  look();
  await pass(1);
  assert.equal(gateway.state, "connected");
  server.answers = false;
  look();
  assert.equal(server.requests("ping_node").length, 1);
  await pass(2_900);
  assert.equal(gateway.state, "connected");
  await pass(200);
  assert.notEqual(gateway.state, "connected");
  gateway.close();
  assert.equal(look, null);
});

test("a frame that cannot be read ends the socket, not the program", async () => {
  const { server, gateway } = await connected();
  server.socket.client.onmessage({ data: "{" });
  assert.equal(gateway.state, "waiting");
  await pass(1_500);
  assert.equal(gateway.state, "connected");
});

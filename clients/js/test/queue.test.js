import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { appStateWake, browserWake, webStorage } from "../src/index.js";
import { uuid } from "../src/uuid.js";
import { connected, pass, startTime, stopTime } from "./support.js";

beforeEach(stopTime);
afterEach(startTime);

test("each call of a queue is an action, with what was given", async () => {
  const { server, gateway } = await connected();
  const queue = gateway.queue("q");
  const one = { id: "m", body: 1, ttl: 60, age: 2, claim_id: null };
  const seen = { queue: "q", id: "m", body: 1, ttl: 60, age: 2, claimId: null };
  const page = { status: 200, body: { messages: [one], marker: "7" } };
  const steps = [
    [() => queue.list({ marker: "5", includeClaimed: true }), "message_list",
      { marker: "5", echo: true, include_claimed: true }, page, { messages: [seen], marker: "7" }],
    [() => queue.get("m"), "message_get", { message_id: "m" }, { status: 200, body: { messages: one } }, seen],
    [() => queue.getMany(["m"]), "message_get_many", { message_ids: ["m"] }, page, [seen]],
    [() => queue.deleteMessage("m", { claimId: "c" }), "message_delete", { message_id: "m", claim_id: "c" },
      { status: 204, body: {} }, undefined],
    [() => queue.pop(), "message_delete_many", { pop: 1 }, page, [seen]],
    [() => queue.claim(), "claim_create", {}, { status: 204, body: { claim_id: "unused" } }, null],
    [() => queue.stats(), "queue_get_stats", {},
      { status: 200, body: { messages: { free: 1, claimed: 0, total: 1, newest: one, oldest: one } } },
      { free: 1, claimed: 0, total: 1, newest: seen, oldest: seen }],
    [() => queue.stats(), "queue_get_stats", {},
      { status: 404, body: { messages: { free: 0, claimed: 0, total: 0 } } }, { free: 0, claimed: 0, total: 0 }],
    [() => queue.create({ metadata: { a: 1 } }), "queue_create", { metadata: { a: 1 } },
      { status: 201, body: "created" }, undefined],
    [() => queue.metadata(), "queue_get", {}, { status: 200, body: { a: 1 } }, { a: 1 }],
    [() => queue.update([{ op: "remove", path: "/metadata/a" }]), "queue_update",
      { patch: [{ op: "remove", path: "/metadata/a" }] }, { status: 200, body: {} }, {}],
    [() => queue.purge(["messages"]), "queue_purge", { resource_types: ["messages"] },
      { status: 204, body: {} }, undefined],
    [() => queue.delete(), "queue_delete", {}, { status: 204, body: "" }, undefined],
  ];
  for (const [call, action, body, reply, answer] of steps) {
    server.replies[action] = reply;
    assert.deepEqual(await call(), answer, action);
    assert.deepEqual(server.requests(action).at(-1).body, { queue_name: "q", ...body });
  }
});

test("a claim acknowledges, renews and gives back", async () => {
  const { server, gateway } = await connected();
  const messages = [{ id: "m", body: 1, ttl: 60, age: 0, claim_id: "c" }];
  server.replies.claim_create = { status: 201, body: { claim_id: "c", messages } };
  const claim = await gateway.queue("q").claim({ ttl: 60, limit: 2 });
  assert.deepEqual(server.requests("claim_create")[0].body, { queue_name: "q", ttl: 60, limit: 2 });
  await claim.renew({ ttl: 90 });
  await claim.acknowledge(claim.messages[0]);
  await claim.release();
  const sent = server.socket.requests.slice(-3).map(({ action, body }) => [action, body]);
  assert.deepEqual(sent, [
    ["claim_update", { queue_name: "q", claim_id: "c", ttl: 90 }],
    ["message_delete", { queue_name: "q", claim_id: "c", message_id: "m" }],
    ["claim_delete", { queue_name: "q", claim_id: "c" }],
  ]);
});

test("dead letters tell where they came from", async () => {
  const { server, gateway } = await connected();
  const dead = { id: "m", body: 1, ttl: 60, age: 0, dead_letter: { queue_name: "jobs", message_id: "n" } };
  server.replies.message_get = { status: 200, body: { messages: dead } };
  assert.deepEqual((await gateway.queue("failed").get("m")).deadLetter, { queue: "jobs", id: "n" });
});

test("a page wakes the connection when it is online, or shown again", () => {
  const page = new EventTarget();
  const names = ["addEventListener", "removeEventListener"];
  const window = new EventTarget();
  for (const name of names) globalThis[name] = window[name].bind(window);
  globalThis.document = Object.assign(page, { visibilityState: "hidden" });
  try {
    let looks = 0;
    const stop = browserWake(() => (looks += 1));
    window.dispatchEvent(new Event("online"));
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(looks, 1);
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(looks, 2);
    stop();
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(looks, 2);
  } finally {
    delete globalThis.document;
    for (const name of names) delete globalThis[name];
  }
});

test("an app wakes the connection when it comes to the foreground", async () => {
  let change;
  const appState = { addEventListener: (_name, handler) => ((change = handler), { remove: () => (change = null) }) };
  const { server, gateway } = await connected({ wake: appStateWake(appState) });
  change("background");
  assert.equal(server.requests("ping_node").length, 0);
  change("active");
  assert.equal(server.requests("ping_node").length, 1);
  await pass(1);
  gateway.close();
  assert.equal(change, null);
});

test("positions can be kept in the page's storage", () => {
  const kept = new Map();
  const setItem = (key, value) => kept.set(key, value);
  const storage = webStorage({ getItem: (key) => kept.get(key) ?? null, setItem });
  assert.equal(storage.get("a"), null);
  storage.set("a", "1");
  assert.equal(storage.get("a"), "1");
});

test("ids are UUIDs, with and without crypto", (t) => {
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  const { crypto } = globalThis;
  for (const fake of [crypto, { getRandomValues: (bytes) => crypto.getRandomValues(bytes) }, undefined]) {
    Object.defineProperty(globalThis, "crypto", { value: fake, configurable: true, writable: true });
    const ids = new Set(Array.from({ length: 100 }, uuid));
    assert.equal(ids.size, 100);
    for (const id of ids) assert.match(id, form);
  }
  t.after(() => Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true }));
});

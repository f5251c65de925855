// A conversation as an application has it, with any server: node conversation.js '{"url": …, "extension": true}'
import { setTimeout as sleep } from "node:timers/promises";

import { WebSocket } from "ws";

import { connect } from "../../src/index.js";

const { url, extension } = JSON.parse(process.argv[2]);
// Upstream's server drops a connection that authenticates where that is not configured.
const getToken = extension ? async () => "any" : undefined;
const gateway = connect({ url, extension, getToken, WebSocket, project: `conversation-${Date.now()}` });
await gateway.connected();
const told = { extended: gateway.extended };

const jobs = gateway.queue("jobs");
await jobs.create({ metadata: { team: "video" } });
told.metadata = await jobs.metadata();
const first = await jobs.post("first", { ttl: 300 });
await jobs.postMany([{ body: "second" }, { body: "third" }]);
const { free, claimed, total } = await jobs.stats();
told.stats = { free, claimed, total };
told.listed = (await jobs.list()).messages.map(({ body }) => body);
told.got = (await jobs.get(first)).body;

const claim = await jobs.claim({ limit: 1, ttl: 60, grace: 60 });
told.claimed = claim.messages[0].body;
await claim.renew({ ttl: 90 });
await claim.acknowledge(claim.messages[0]);
await claim.release();
told.left = (await jobs.list()).messages.map(({ body }) => body);
const refused = await jobs.get(first).catch((error) => error);
told.missing = [refused.constructor.name, refused.status, refused.code];

const news = gateway.subscribe("news");
await news.subscribed();
await gateway.queue("news").post({ hello: "world" });
for await (const { body } of news) {
  told.pushed = body;
  break;
}

if (extension) {
  const consumed = [];
  const consumer = gateway.consume("jobs", ({ body }) => consumed.push(body), { concurrency: 2 });
  while (consumed.length < 2) await sleep(10);
  await consumer.stop();
  told.consumed = consumed.sort();
} else {
  const ended = new Promise((resolve) => gateway.consume("jobs", () => {}).on("ended", resolve));
  told.consumeRefused = (await ended).error.code;
}
told.queues = (await gateway.queues()).queues.map(({ name }) => name);
await jobs.delete();
gateway.close();
console.log(JSON.stringify(told));

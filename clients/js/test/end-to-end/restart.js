// Posts and reads while the gateway is restarted: node restart.js '{"url": …}'. Says when that may begin.
import { setTimeout as sleep } from "node:timers/promises";

import { WebSocket } from "ws";

import { connect } from "../../src/index.js";

const MESSAGES = 200;

const { url } = JSON.parse(process.argv[2]);
const gateway = connect({ url, WebSocket, project: "restart" });
let draining = false;
gateway.on("draining", () => (draining = true));
const news = gateway.subscribe("news");
const gaps = [];
news.on("gap", (gap) => gaps.push(gap));
await news.subscribed();

const posts = [];
const posting = (async () => {
  for (let n = 0; n < MESSAGES; n += 1) {
    posts.push(gateway.queue("news").post(n));
    await sleep(5);
    if (n === 50) console.log(JSON.stringify("begun"));
  }
})();
const received = [];
for await (const { body } of news) if (received.push(body) === MESSAGES) break;
await posting;
await Promise.all(posts);
gateway.close();
console.log(JSON.stringify({ received, draining, gaps }));
process.exit();

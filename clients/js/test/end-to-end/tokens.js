// A connection that outlives its tokens: each lives for some seconds, and is renewed on the open socket.
import { createHmac } from "node:crypto";
import { WebSocket } from "ws";
import { connect } from "../../src/index.js";

const { url, secret, seconds, messages } = JSON.parse(process.argv[2]);
const encode = (/** @type {object} */ part) => Buffer.from(JSON.stringify(part)).toString("base64url");

/** @param {object} claims @param {string} key */
function token(claims, key = secret) {
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

let asked = 0;
let opened = 0;
const getToken = () => {
  asked += 1;
  return token({ project: "p", exp: Date.now() / 1000 + seconds });
};
const gateway = connect({ url, project: "p", getToken, WebSocket });
gateway.on("state", ({ state }) => void (opened += Number(state === "connected")));
const subscription = gateway.subscribe("js-ticks", { from: "earliest" });
/** @type {unknown[]} */
const received = [];
subscription.on("message", ({ body }) => void received.push(body));
for (let number = 0; number < messages; number++) {
  await gateway.queue("js-ticks").post(number);
  await new Promise((done) => setTimeout(done, (seconds * 1000) / 5));
}

const stranger = connect({
  url,
  project: "p",
  getToken: () => token({ project: "p", exp: Date.now() / 1000 + 600 }, "another secret, just as long as the right one"),
  WebSocket,
});
const refused = await stranger.queue("js-ticks").stats({ timeout: 15_000 }).then(
  () => "nothing",
  (error) => error.name,
);
console.log(JSON.stringify({ received, asked, opened, refused, state: stranger.state }));
process.exit(0);

import { mock } from "node:test";

import { connect } from "../src/index.js";
import { FakeServer, settle } from "./fake-server.js";

/** Time stands still but for `pass`. */
export function stopTime() {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_700_000_000_000 });
}

/** Time goes on, and what was mocked is as before. */
export function startTime() {
  mock.timers.reset();
  mock.reset();
}

/** Let milliseconds pass, in steps so that what is due makes other things due. */
export async function pass(milliseconds) {
  await settle();
  for (let left = milliseconds; left > 0; left -= 50) {
    mock.timers.tick(Math.min(50, left));
    await settle();
  }
}

/** A gateway on a fake server, connected. Its errors are collected. */
export async function connected(options = {}, prepare = () => {}) {
  const server = new FakeServer();
  prepare(server);
  const gateway = connect({ url: "ws://fake/", project: "p", WebSocket: server.WebSocket, ...options });
  const errors = [];
  gateway.on("error", (error) => errors.push(error));
  await pass(1);
  return { server, gateway, errors };
}

/** How a promise stands: its value, its error, or "waits". */
export function outcome(promise) {
  const settled = promise.catch((error) => error);
  const waits = settle().then(settle).then(() => "waits");
  return Promise.race([settled, waits]);
}

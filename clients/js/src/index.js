/** Durable queues, leased work and live push over one WebSocket: the client of zaqar-gateway. */
export { connect, Gateway } from "./gateway.js";
export { Claim, Queue } from "./queue.js";
export { Consumer } from "./consumer.js";
export { Subscription } from "./subscription.js";
export { memoryStorage, webStorage } from "./storage.js";
export { appStateWake, browserWake } from "./wake.js";
export * from "./errors.js";

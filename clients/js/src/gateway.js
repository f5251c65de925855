import { Calls } from "./calls.js";
import { Connection } from "./connection.js";
import { Consumer } from "./consumer.js";
import { Emitter } from "./emitter.js";
import { ClosedError } from "./errors.js";
import { limited } from "./limited.js";
import { json } from "./link.js";
import { Outbox } from "./outbox.js";
import { Queue } from "./queue.js";
import { Subscription } from "./subscription.js";
import { uuid } from "./uuid.js";
import { browserWake } from "./wake.js";

/**
 * Durations in milliseconds.
 *
 * @typedef {object} ConnectOptions
 * @property {string} url `ws://…` or `wss://…`
 * @property {string} project whose queues are meant (`X-Project-ID`)
 * @property {import("./connection.js").GetToken} [getToken]
 * @property {string} [clientId] a UUID that says who this is; default: a random one
 * @property {number} [timeout] of every call that gives none; default: 10,000
 * @property {import("./storage.js").Storage} [storage] where the positions of subscriptions are kept
 * @property {{maxCount?: number, maxBytes?: number}} [outbox] messages and bytes that may wait to be posted;
 *   default: 1,000 and 4 MiB
 * @property {{min?: number, max?: number}} [reconnect] bounds of the delay before a new try; default: 500 and 20,000
 * @property {number} [openTimeout] for a handshake, and for `getToken`; default: 10,000
 * @property {number} [pingInterval] of silence after which the server is asked for an answer; default: 25,000
 * @property {number} [replyTimeout] without any reply after which the socket counts as dead; default: 10,000
 * @property {boolean} [extension] whether to ask for the extension; default: true. Browsers do not connect to a
 *   server that does not know it, such as OpenStack's: false for those
 * @property {import("./link.js").Codec} [codec] how frames are told: default JSON; or `msgpack` of
 *   `zaqar-gateway/msgpack`
 * @property {any} [WebSocket] in place of the global one
 * @property {import("./wake.js").Wake} [wake] when to look after the connection; default: the page's events
 */

/**
 * @typedef {object} GatewayEvents
 * @property {{state: import("./connection.js").State, delay?: number, error?: unknown}} state `delay`: until the
 *   next try, milliseconds
 * @property {{reconnect_after_ms: number}} draining the gateway stops soon; what comes next is done by itself
 * @property {unknown} error something threw that no call answers for, such as a handler; without a handler it goes
 *   to the console
 */

/**
 * What subscriptions and consumers have in common.
 *
 * @typedef {object} Context
 * @property {string} project
 * @property {import("./storage.js").Storage} [storage]
 * @property {{min: number, max: number}} retry
 * @property {number} timeout
 * @property {(error: unknown) => void} report
 * @property {(part: Subscription | Consumer) => void} forget
 */

/**
 * A gateway, as `connect` returns it: one connection that is made again whenever it breaks.
 *
 * @extends {Emitter<GatewayEvents>}
 */
export class Gateway extends Emitter {
  #connection;
  #calls = new Calls();
  #outbox;
  #context;
  /** By queue. @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** By claim. @type {Map<string, Consumer>} */
  #consumers = new Map();
  #error = /** @type {unknown} */ (undefined);

  /** @param {ConnectOptions} options */
  constructor(options) {
    const report = (/** @type {unknown} */ error) => {
      if (this.handlers("error") > 0) this.emit("error", error);
      else console.error(error);
    };
    super(console.error);
    const { clientId = uuid(), outbox, timeout = 10_000, project, storage, codec = json } = options;
    const reconnect = { min: 500, max: 20_000, ...options.reconnect };
    /** @type {Context} */
    this.#context = {
      project,
      ...(storage && { storage }),
      retry: reconnect,
      timeout,
      report,
      forget: (part) => this.#forget(part),
    };
    this.#outbox = new Outbox(() => this.#connection, {
      maxCount: 1_000,
      maxBytes: 4_194_304,
      encode: codec.encode,
      retry: reconnect,
      ...outbox,
    });
    this.#connection = new Connection(
      {
        WebSocket: globalThis.WebSocket,
        extension: true,
        openTimeout: 10_000,
        pingInterval: 25_000,
        replyTimeout: 10_000,
        wake: browserWake,
        ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
        url: options.url,
        codec,
        headers: { "Client-ID": clientId, "X-Project-ID": project },
        reconnect,
      },
      {
        onUp: (link) => this.#up(link),
        onDown: () => this.#down(),
        onPush: (frame) => this.#push(frame),
        onState: (state, detail) => this.#changed(state, detail),
        report,
      },
    );
  }

  /** @returns {import("./connection.js").State} */
  get state() {
    return this.#connection.state;
  }

  /** Whether the server has agreed on the extension; undefined while there is no connection. */
  get extended() {
    return this.#connection.link?.extended;
  }

  /** What the node takes (docs/protocol.md, `describe`); empty before a first connection, and without the extension. */
  get limits() {
    return this.#connection.limits;
  }

  /**
   * Wait until there is a connection. Nothing needs that: what is called before waits by itself.
   *
   * @param {import("./limited.js").Limits} [limits]
   * @returns {Promise<void>}
   */
  connected(limits) {
    return limited("connect", { ...limits, timeout: limits?.timeout ?? this.#context.timeout }, (resolve, reject) => {
      const off = this.on("state", ({ state, error }) => {
        if (state === "connected") resolve(undefined);
        else if (state === "closed") reject(error);
        else return;
        off();
      });
      if (this.state === "connected") resolve(undefined), off();
      else if (this.state === "closed") reject(this.#error), off();
      return () => (off(), false);
    });
  }

  /**
   * One queue of the project.
   *
   * @param {string} name
   */
  queue(name) {
    return new Queue(this, this.#outbox, name);
  }

  /**
   * A page of the project's queues, by name.
   *
   * @param {{marker?: string, limit?: number, detailed?: boolean} & import("./limited.js").Limits} [options]
   *   `marker`: go on behind this name; `limit`: 1 to 20; `detailed`: with metadata
   * @returns {Promise<{queues: {name: string, metadata?: Record<string, any>}[], marker: string | null}>}
   */
  async queues({ timeout, signal, ...fields } = {}) {
    return (await this.call("queue_list", fields, { timeout, signal })).body;
  }

  /**
   * The messages of a queue as they come. A gateway has one subscription to a queue at a time.
   *
   * @param {string} queue
   * @param {import("./subscription.js").SubscribeOptions} [options]
   */
  subscribe(queue, options = {}) {
    this.#open();
    if (this.#subscriptions.has(queue)) throw new TypeError(`there is a subscription to ${queue} already`);
    const subscription = new Subscription(this.#context, queue, options);
    if (options.signal?.aborted) return subscription;
    this.#subscriptions.set(queue, subscription);
    if (this.#connection.link) subscription.up(this.#connection.link);
    return subscription;
  }

  /**
   * Have a queue's messages handled, each by one consumer at a time.
   *
   * @param {string} queue
   * @param {import("./consumer.js").Handler} handler
   * @param {import("./consumer.js").ConsumeOptions} [options]
   */
  consume(queue, handler, options = {}) {
    this.#open();
    const consumer = new Consumer(this.#context, queue, handler, options);
    this.#consumers.set(consumer.claimId, consumer);
    if (this.#connection.link) consumer.up(this.#connection.link);
    return consumer;
  }

  /**
   * Any action of the protocol. A refusal is rejected with `ReplyError`.
   *
   * @param {string} action
   * @param {object} [body]
   * @param {import("./limited.js").Limits} [limits]
   */
  async call(action, body = {}, { timeout = this.#context.timeout, signal } = {}) {
    this.#open();
    return this.#calls.call(action, body, { timeout, ...(signal && { signal }) });
  }

  /** Look after the connection now: connect if it waits to, and see whether it lives if there is one. */
  checkNow() {
    this.#connection.checkNow();
  }

  /** End it: what waits is rejected, loops over subscriptions end, consumers stop, and nothing connects again. */
  close() {
    for (const part of this.#parts()) part.close(undefined);
    this.#connection.close(new ClosedError("the application closed it"));
  }

  #open() {
    if (this.state === "closed") throw this.#error;
  }

  #parts() {
    return [...this.#subscriptions.values(), ...this.#consumers.values()];
  }

  /** @param {import("./link.js").Link} link */
  #up(link) {
    for (const part of this.#parts()) part.up(link);
    this.#calls.up(link);
    this.#outbox.up();
  }

  #down() {
    this.#calls.down();
    for (const part of this.#parts()) part.down();
  }

  /** @param {any} frame */
  #push(frame) {
    if (frame.claim_id !== undefined) this.#consumers.get(frame.claim_id)?.push(frame);
    else if (frame.queue_name !== undefined) this.#subscriptions.get(frame.queue_name)?.push(frame);
    else if (frame.event === "draining") this.emit("draining", frame);
  }

  /** @param {Subscription | Consumer} part */
  #forget(part) {
    if (part instanceof Consumer) this.#consumers.delete(part.claimId);
    else if (this.#subscriptions.get(part.queue) === part) this.#subscriptions.delete(part.queue);
  }

  /**
   * @param {import("./connection.js").State} state
   * @param {{delay?: number, error?: unknown}} detail
   */
  #changed(state, detail) {
    if (state === "closed") {
      this.#error = detail.error;
      for (const part of this.#parts()) part.close(detail.error);
      this.#calls.close(detail.error);
      this.#outbox.close(detail.error);
    }
    this.emit("state", { state, ...detail });
  }
}

/**
 * Connect to a gateway. Returns at once: what is called before there is a connection waits for it.
 *
 * @param {ConnectOptions} options
 */
export function connect(options) {
  return new Gateway(options);
}

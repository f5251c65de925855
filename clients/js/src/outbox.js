import { backoff } from "./backoff.js";
import { DisconnectedError, OutboxFullError, OutcomeUnknownError, UnavailableError } from "./errors.js";
import { limited } from "./limited.js";
import { size } from "./link.js";
import { uuid } from "./uuid.js";

/** Messages, and bytes, that go out in one request when several posts wait. */
const BATCH_COUNT = 100;
const BATCH_BYTES = 131_072;

/** Seconds that a node remembers a `dedup_id` if it has not told. */
const DEDUP_WINDOW = 600;

/** Seconds before the end of that time in which nothing is sent again: it might be late on its way. */
const MARGIN = 60;

/**
 * @typedef {object} Entry one post
 * @property {string} queue
 * @property {any[]} messages as they are sent
 * @property {number} bytes
 * @property {boolean} alone whether it goes in a request of its own, because one with others was refused
 * @property {number} sentAt when it went out first; 0: it has not
 * @property {ReturnType<typeof setTimeout>} [timer] from then until it cannot be repeated any more
 * @property {unknown} error of the last try
 * @property {(ids: string[]) => void} resolve
 * @property {(error: unknown) => void} reject
 */

/**
 * @typedef {object} Lane the posts to one queue, in order; one request is under way at a time
 * @property {Entry[]} entries
 * @property {boolean} busy
 * @property {number} tries failures since the last success
 * @property {ReturnType<typeof setTimeout>} [timer] until the next try
 */

/**
 * Posts that the gateway has not confirmed yet. Each message has a `dedup_id`, so a post whose reply was lost is
 * sent again and stored once; and a queue's posts stay in order.
 */
export class Outbox {
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  #count = 0;
  #bytes = 0;
  #session = uuid();
  #last = 0;
  #closed = /** @type {unknown} */ (undefined);
  #connection;
  #options;

  /**
   * @param {() => import("./connection.js").Connection} connection
   * @param {{maxCount: number, maxBytes: number, encode: import("./link.js").Codec["encode"],
   *   retry: {min: number, max: number}}} options
   */
  constructor(connection, options) {
    this.#connection = connection;
    this.#options = options;
  }

  /**
   * @param {string} queue
   * @param {any[]} messages of the protocol
   * @param {import("./limited.js").Limits & {timeout: number}} limits
   * @returns {Promise<string[]>} ids
   */
  post(queue, messages, limits) {
    return limited("message_post", limits, (resolve, reject) => {
      if (this.#closed) throw this.#closed;
      const named = messages.map((message) => ({ dedup_id: `${this.#session}-${++this.#last}`, ...message }));
      const bytes = size(this.#options.encode(named));
      const { maxCount, maxBytes } = this.#options;
      if (this.#count + named.length > maxCount || this.#bytes + bytes > maxBytes) throw new OutboxFullError();
      const lane = this.#lanes.get(queue) ?? { entries: [], busy: false, tries: 0 };
      this.#lanes.set(queue, lane);
      /** @type {Entry} */
      const entry = { queue, messages: named, bytes, alone: false, sentAt: 0, error: undefined, resolve, reject };
      this.#count += named.length;
      this.#bytes += bytes;
      lane.entries.push(entry);
      this.#pump(queue, lane);
      return () => {
        this.#remove(lane, entry);
        return entry.sentAt > 0;
      };
    });
  }

  /** There is a connection: send what waits. */
  up() {
    for (const [queue, lane] of this.#lanes) {
      clearTimeout(lane.timer);
      lane.timer = undefined;
      this.#pump(queue, lane);
    }
  }

  /** @param {unknown} error */
  close(error) {
    this.#closed = error;
    for (const lane of this.#lanes.values()) {
      clearTimeout(lane.timer);
      for (const entry of [...lane.entries]) {
        this.#reject(lane, entry, entry.sentAt ? new OutcomeUnknownError("message_post", error) : error);
      }
    }
    this.#lanes.clear();
  }

  /** Send the next request of a queue, unless one is under way. @param {string} queue @param {Lane} lane */
  #pump(queue, lane) {
    const { link } = this.#connection();
    if (lane.busy || lane.timer || !link) return;
    this.#expire(lane);
    const batch = this.#batch(lane);
    if (batch.length === 0) {
      this.#lanes.delete(queue);
      return;
    }
    let messages = batch.flatMap((entry) => entry.messages);
    if (!link.extended) messages = messages.map(({ dedup_id, ...rest }) => rest);
    lane.busy = true;
    const fresh = batch.filter(({ sentAt }) => !sentAt);
    for (const entry of fresh) this.#sent(lane, entry);
    try {
      link.request("message_post", { queue_name: queue, messages }, (error, reply) => {
        lane.busy = false;
        if (reply) this.#stored(lane, batch, reply.body.message_ids);
        else this.#failed(queue, lane, batch, error, link.extended);
        this.#pump(queue, lane);
      });
    } catch (error) {
      // Nothing was sent.
      lane.busy = false;
      for (const entry of fresh) {
        clearTimeout(entry.timer);
        entry.sentAt = 0;
      }
      this.#failed(queue, lane, batch, error, link.extended);
      this.#pump(queue, lane);
    }
  }

  /** The first posts that fit into one request. @param {Lane} lane */
  #batch({ entries }) {
    const most = Math.min(BATCH_COUNT, this.#connection().limits["max_messages_per_post"] ?? BATCH_COUNT);
    let count = 0;
    let bytes = 0;
    const end = entries.findIndex((entry, index) => {
      count += entry.messages.length;
      bytes += entry.bytes;
      return index > 0 && (entry.alone || entries[0]?.alone || count > most || bytes > BATCH_BYTES);
    });
    return entries.slice(0, end < 0 ? entries.length : end);
  }

  /** @param {Lane} lane @param {Entry[]} batch @param {string[]} ids */
  #stored(lane, batch, ids) {
    lane.tries = 0;
    for (const entry of batch) {
      entry.resolve(ids.splice(0, entry.messages.length));
      this.#remove(lane, entry);
    }
  }

  /**
   * @param {string} queue
   * @param {Lane} lane
   * @param {Entry[]} batch
   * @param {unknown} error
   * @param {boolean} extended
   */
  #failed(queue, lane, batch, error, extended) {
    for (const entry of batch) entry.error = error;
    if (error instanceof DisconnectedError && !extended) {
      // A repeat would be stored twice.
      for (const entry of batch) this.#reject(lane, entry, new OutcomeUnknownError("message_post", error));
    } else if (error instanceof DisconnectedError && !error.tooLarge) {
      // Goes on with the next connection.
    } else if (error instanceof UnavailableError && extended) {
      const wait = backoff(lane.tries++, this.#options.retry);
      lane.timer = setTimeout(() => {
        lane.timer = undefined;
        this.#pump(queue, lane);
      }, wait);
    } else if (batch.length > 1) {
      // All of a request is stored or nothing: find out whose fault it is.
      for (const entry of batch) entry.alone = true;
    } else for (const entry of batch) this.#reject(lane, entry, error);
  }

  /**
   * What was sent so long ago that a repeat may be stored again has failed.
   *
   * @param {Lane} lane
   */
  #expire(lane) {
    const oldest = Date.now() - this.#repeatTime();
    for (const entry of lane.entries.filter(({ sentAt }) => sentAt && sentAt < oldest)) {
      this.#reject(lane, entry, new OutcomeUnknownError("message_post", entry.error));
    }
  }

  /** It goes out for the first time. @param {Lane} lane @param {Entry} entry */
  #sent(lane, entry) {
    entry.sentAt = Date.now();
    // A timer is late by the time that a device sleeps, so this looks at the clock, and #pump does too.
    entry.timer = setTimeout(() => this.#expire(lane), this.#repeatTime() + 1);
  }

  /** Milliseconds for which a post can be repeated. */
  #repeatTime() {
    const window = this.#connection().limits["dedup_window"] ?? DEDUP_WINDOW;
    return (window - Math.min(MARGIN, window / 10)) * 1000;
  }

  /** @param {Lane} lane @param {Entry} entry @param {unknown} error */
  #reject(lane, entry, error) {
    entry.reject(error);
    this.#remove(lane, entry);
  }

  /** @param {Lane} lane @param {Entry} entry */
  #remove(lane, entry) {
    const index = lane.entries.indexOf(entry);
    if (index < 0) return;
    clearTimeout(entry.timer);
    lane.entries.splice(index, 1);
    this.#count -= entry.messages.length;
    this.#bytes -= entry.bytes;
  }
}

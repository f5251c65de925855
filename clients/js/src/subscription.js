import { backoff } from "./backoff.js";
import { Emitter } from "./emitter.js";
import {
  BadRequestError,
  ConflictError,
  DisconnectedError,
  EndedError,
  UnavailableError,
  UnsupportedError,
} from "./errors.js";
import { Inbox } from "./inbox.js";
import { limited } from "./limited.js";
import { message } from "./message.js";
import { Position } from "./position.js";

/** Seconds that a subscription lives on a server without the extension, where it cannot be renewed: 30 days. */
const PLAIN_TTL = 2_592_000;

/** Tries at a queue to which this socket has a subscription already. */
const MOST_CONFLICTS = 5;

/** @typedef {import("./message.js").Gap} Gap */
/** @typedef {import("./message.js").Message} Message */

/**
 * @typedef {object} SubscriptionEvents
 * @property {Message} message
 * @property {{recovered: boolean, gap: Gap | null, marker: string | undefined}} subscribed it is set up,
 *   at first and after each cut; `recovered`: nothing is missing
 * @property {Gap} gap something is missing
 * @property {undefined} behind the socket takes less than comes
 * @property {undefined} caught_up it takes all again
 * @property {{error: unknown}} ended nothing more will come; without an error, because of `unsubscribe`
 */

/**
 * @typedef {object} SubscribeOptions
 * @property {"now" | "earliest" | (string & {})} [from] where to begin, if no position is stored: `"now"`, the
 *   default, `"earliest"`, or the `marker` or `id` of the message behind which to go on
 * @property {string} [name] under which its position is stored; default: the queue's name
 * @property {number} [maxBuffered] messages that wait for the application before the subscription is paused;
 *   default: 1,000
 * @property {AbortSignal} [signal] ends it
 */

/**
 * The messages of a queue as they come: once each and in order, across cuts.
 *
 * Either iterate over it, or take the event `message`. What nobody takes waits, and when as many wait as may, the
 * subscription is paused at the gateway and later goes on from there.
 *
 * @extends {Emitter<SubscriptionEvents>}
 * @implements {AsyncIterable<Message>}
 */
export class Subscription extends Emitter {
  #context;
  #options;
  #position;
  /** Where it goes on after a cut. @type {string | undefined} */
  #marker;
  #stored = false;
  #loaded = false;
  #begun = false;
  /** @type {import("./link.js").Link | undefined} */
  #link;
  /** Whether it is asked for on that socket, or will be after a delay. */
  #asked = false;
  /** Whether notifications are its own. */
  #live = false;
  #id = "";
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #inbox;
  #ended = false;
  #error = /** @type {unknown} */ (undefined);

  /**
   * @param {import("./gateway.js").Context} context
   * @param {string} queue
   * @param {SubscribeOptions} options
   */
  constructor(context, queue, options) {
    super(context.report);
    /** The queue's name. @readonly */
    this.queue = queue;
    this.#context = context;
    this.#options = options;
    const key = `zaqar-gateway ${context.project} ${options.name ?? queue}`;
    this.#position = new Position(context.storage, key, context.report);
    this.#inbox = new Inbox(options.maxBuffered ?? 1_000, {
      onTaken: () => this.#resume(),
      onHandled: (one) => this.#handled(one),
      onLeft: () => this.unsubscribe(),
    });
    options.signal?.addEventListener("abort", this.#abort);
    if (options.signal?.aborted) this.#abort();
    else this.#load();
  }

  /** The position of the last message that came, from which it goes on after a cut. */
  get marker() {
    return this.#marker;
  }

  /**
   * Wait until it is set up for the first time.
   *
   * @param {import("./limited.js").Limits} [limits]
   * @returns {Promise<void>}
   */
  subscribed(limits) {
    return limited("subscribe", { ...limits, timeout: limits?.timeout ?? this.#context.timeout }, (resolve, reject) => {
      if (this.#begun) return resolve(undefined), () => true;
      const ended = (/** @type {unknown} */ error) => error ?? new EndedError(this.queue, "unsubscribed");
      if (this.#ended) throw ended(this.#error);
      /** @type {(() => void)[]} */
      const off = [];
      const forget = () => (off.forEach((take) => take()), false);
      off.push(this.on("subscribed", () => (forget(), resolve(undefined))));
      off.push(this.on("ended", ({ error }) => (forget(), reject(ended(error)))));
      return forget;
    });
  }

  /** End it: what has come already can still be iterated over. */
  unsubscribe() {
    if (this.#live) this.#leave();
    this.#end(undefined);
  }

  /**
   * @template {keyof SubscriptionEvents} Name
   * @param {Name} name
   * @param {(detail: SubscriptionEvents[Name]) => unknown} handler
   * @override
   */
  on(name, handler) {
    const off = super.on(name, handler);
    if (name === "message" && !this.#inbox.iterated) for (const one of this.#inbox.empty()) this.#hand(one);
    this.#resume();
    return off;
  }

  [Symbol.asyncIterator]() {
    return this.#inbox.iterate();
  }

  /**
   * There is a connection: set it up there.
   *
   * @internal
   * @param {import("./link.js").Link} link
   */
  up(link) {
    this.#link = link;
    if (this.#loaded && !this.#inbox.full) this.#create(link);
  }

  /** @internal */
  down() {
    this.#link = undefined;
    this.#live = this.#asked = false;
    clearTimeout(this.#timer);
  }

  /**
   * @internal
   * @param {unknown} error
   */
  close(error) {
    this.#end(error);
  }

  /**
   * A frame about this queue.
   *
   * @internal
   * @param {any} frame
   */
  push(frame) {
    if (frame.event === "subscription_ended") {
      if (frame.subscription_id !== this.#id || !this.#live) return;
      this.#live = false;
      const again = frame.reason === "unknown" || frame.reason === "expired";
      if (again && this.#link) this.#create(this.#link);
      else this.#fail(new EndedError(this.queue, frame.reason));
    } else if (!this.#live) {
      // Sent before the gateway knew that it is paused; comes again.
    } else if (frame.event === "gap") {
      this.#marker = frame.from;
      this.emit("gap", { from: frame.from, to: frame.to, reason: frame.reason });
    } else if (frame.event) {
      this.emit(frame.event, undefined);
    } else this.#receive(message(this.queue, frame));
  }

  #abort = () => {
    if (this.#live) this.#leave();
    this.#end(this.#options.signal?.reason);
  };

  async #load() {
    this.#marker = await this.#position.load();
    this.#stored = this.#marker !== undefined;
    this.#loaded = true;
    if (this.#link && !this.#ended) this.#create(this.#link);
  }

  /** @param {import("./link.js").Link} link */
  #create(link) {
    const from = this.#marker ?? this.#options.from ?? "now";
    if (!link.extended && from !== "now") return this.#fail(new UnsupportedError("`from`, and a stored position,"));
    const body = link.extended ? { queue_name: this.queue, from } : { queue_name: this.queue, ttl: PLAIN_TTL };
    this.#asked = true;
    link.request("subscription_create", body, (error, reply) => {
      if (error instanceof DisconnectedError) return;
      this.#asked = false;
      if (this.#ended) return reply && link === this.#link && this.#leave(reply.body.subscription_id);
      if (reply) this.#created(link, reply.body);
      else if (
        error instanceof UnavailableError ||
        (error instanceof ConflictError && (this.#begun || this.#tries < MOST_CONFLICTS))
      ) {
        const taken = error.status === 409;
        // It is still there: to pause it has failed.
        if (taken && this.#begun) this.#leave();
        const wait = backoff(this.#tries++, this.#context.retry);
        this.#asked = true;
        // Or one was that ended before it was set up: it was taken back when its own reply came.
        const first = taken && !this.#begun && this.#tries === 1;
        this.#timer = setTimeout(() => this.#create(link), first ? 0 : wait);
      } else if (error instanceof BadRequestError && this.#stored) {
        // What is stored is no position here: begin as if nothing were.
        this.#context.report(error);
        this.#stored = false;
        this.#marker = undefined;
        this.#create(link);
      } else this.#fail(error);
    });
  }

  /** @param {import("./link.js").Link} link @param {any} reply */
  #created(link, reply) {
    const first = !this.#begun;
    this.#id = reply.subscription_id;
    this.#live = this.#begun = true;
    this.#tries = 0;
    this.#stored = false;
    const lost = { from: null, to: null, reason: "no_resume" };
    const { recovered = first, gap = first ? null : lost, marker } = link.extended ? reply : {};
    if (this.#marker === undefined) this.#handled({ marker });
    // After a failover it may be before the last message that came.
    this.#marker = marker;
    this.emit("subscribed", { recovered, gap, marker });
    if (gap) this.emit("gap", gap);
  }

  /** @param {Message} one */
  #receive(one) {
    if (one.marker !== undefined) {
      // Positions only grow, but for a failover, and are below 2^53.
      if (this.#marker !== undefined && Number(one.marker) <= Number(this.#marker)) return;
      this.#marker = one.marker;
    }
    if (this.handlers("message") > 0 && !this.#inbox.iterated) return this.#hand(one);
    // Without the extension it cannot be asked for again.
    if (this.#inbox.full) return this.emit("gap", { from: null, to: null, reason: "overflow" });
    this.#inbox.add(one);
    if (this.#inbox.full && this.#link?.extended) this.#leave();
  }

  /** @param {Message} one */
  #hand(one) {
    this.emit("message", one);
    this.#handled(one);
  }

  /** @param {{marker?: string}} one */
  #handled({ marker }) {
    if (marker !== undefined) this.#position.save(marker);
  }

  /** Go on if it was paused and half of the room is free again. */
  #resume() {
    if (this.#live || this.#asked || !this.#begun || this.#ended || !this.#link?.extended) return;
    if (this.#inbox.roomy) this.#create(this.#link);
  }

  /** Have nothing more sent. */
  #leave(id = this.#id, tries = 0) {
    this.#live = false;
    const link = this.#link;
    link?.request("subscription_delete", { queue_name: this.queue, subscription_id: id }, (error) => {
      // One that is paused is ended when it goes on; of one that has ended nobody knows any more.
      if (!this.#ended || !(error instanceof UnavailableError)) return;
      setTimeout(() => this.#leave(id, tries + 1), backoff(tries, this.#context.retry));
    });
  }

  /** The gateway ends it, or it cannot be: who does not listen for that is told all the same. @param {unknown} error */
  #fail(error) {
    if (this.handlers("ended") === 0 && !this.#inbox.iterated) this.#context.report(error);
    this.#end(error);
  }

  /** @param {unknown} error */
  #end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#live = false;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#context.forget(this);
    this.#inbox.end(error);
    this.emit("ended", { error });
  }
}

import { backoff } from "./backoff.js";
import { Emitter } from "./emitter.js";
import {
  DisconnectedError,
  EndedError,
  LeaseLostError,
  NotFoundError,
  ReplyError,
  UnavailableError,
  UnsupportedError,
} from "./errors.js";
import { limited } from "./limited.js";
import { message } from "./message.js";
import { uuid } from "./uuid.js";

/** Milliseconds after which a message whose handler failed is given back: the first time, and at most. */
const GIVE_BACK = { min: 500, max: 30_000 };

/**
 * @typedef {object} ConsumerEvents
 * @property {{message: import("./message.js").Message, error: unknown}} failed a handler threw or rejected; the
 *   message is given back after a while
 * @property {import("./message.js").Message} lost a lease ended before its message was acknowledged; somebody else
 *   may be given it
 * @property {{error: unknown}} ended no more messages will come; without an error, because of `stop`
 */

/**
 * What does the work. When it returns, or its promise is fulfilled, the message is acknowledged. `signal` is
 * aborted when the lease is lost or the connection is closed.
 *
 * @typedef {(message: import("./message.js").Message, context: {signal: AbortSignal}) => unknown} Handler
 */

/**
 * @typedef {object} ConsumeOptions
 * @property {number} [concurrency] messages that are worked on at a time, 1 to 1,000; default: 1
 * @property {number} [ttl] seconds after which a lease ends unless it is renewed, which happens by itself;
 *   60 to 43,200, default: 300
 * @property {number} [grace] seconds that a message lives on after the claim's end; default: 60
 * @property {AbortSignal} [signal] stops it
 */

/**
 * @typedef {object} Held a message that is worked on, or is to be acknowledged or given back
 * @property {import("./message.js").Message} message
 * @property {AbortController} abort
 * @property {"message_delete" | "message_release"} [finish] what is to be told the gateway; none: its handler runs
 * @property {number} tries
 * @property {ReturnType<typeof setTimeout>} [timer] until it is given back, after its handler failed
 */

/**
 * Work that is pushed as it comes (docs/streaming-claims.md): at most `concurrency` messages at a time, their
 * leases renewed, each deleted when its handler is done.
 *
 * @extends {Emitter<ConsumerEvents>}
 */
export class Consumer extends Emitter {
  #context;
  #handler;
  #options;
  /** @type {Map<string, Held>} */
  #held = new Map();
  /** @type {import("./link.js").Link | undefined} */
  #link;
  /** Held messages that have not come again after a cut. @type {Set<string>} */
  #doubtful = new Set();
  /**
   * Of those, what was finished meanwhile and may still be on its way, with its claim count.
   *
   * @type {Map<string, number>}
   */
  #finished = new Map();
  #comingAgain = 0;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setInterval>} */
  #renewal;
  #unhook;
  #stopping = false;
  #ended = false;

  /**
   * @param {import("./gateway.js").Context} context
   * @param {string} queue
   * @param {Handler} handler
   * @param {ConsumeOptions} options
   */
  constructor(context, queue, handler, { concurrency = 1, ttl = 300, grace = 60, signal }) {
    super(context.report);
    /** The queue's name. @readonly */
    this.queue = queue;
    /** Id of its claim: its own choice, so that it can go on with it even if no reply ever came. @readonly */
    this.claimId = uuid();
    this.#context = context;
    this.#handler = handler;
    this.#options = { credit: concurrency, ttl, grace };
    this.#renewal = setInterval(() => this.#renew(), (ttl * 1000) / 3);
    const stop = () => void this.stop();
    if (signal?.aborted) queueMicrotask(stop);
    signal?.addEventListener("abort", stop);
    this.#unhook = () => signal?.removeEventListener("abort", stop);
  }

  /**
   * Take no more messages, wait until those that are worked on are done, and give back the rest.
   *
   * @param {import("./limited.js").Limits} [limits] when time is over it ends all the same, and this is rejected
   * @returns {Promise<void>}
   */
  async stop(limits) {
    this.#stopping = true;
    // What waits to be given back is, at the end.
    for (const held of this.#held.values()) if (held.timer) this.#drop(held);
    try {
      await limited("stop", { timeout: Infinity, ...limits }, (resolve) => {
        if (this.#ended || this.#held.size === 0) resolve(undefined);
        const off = this.on("ended", resolve);
        return () => (off(), false);
      });
    } finally {
      this.#end(undefined);
    }
  }

  /**
   * There is a connection: go on there.
   *
   * @internal
   * @param {import("./link.js").Link} link
   */
  up(link) {
    this.#link = link;
    this.#subscribe(link);
  }

  /** @internal */
  down() {
    this.#link = undefined;
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
   * A frame about its claim.
   *
   * @internal
   * @param {any} frame
   */
  push(frame) {
    if (frame.event === "claim_ended") return this.#fail(new EndedError(this.queue, frame.reason));
    for (const told of frame.messages) {
      this.#doubtful.delete(told.id);
      // What is worked on, or was finished just now, comes again after a cut.
      const again = this.#held.has(told.id) || told.claim_count <= (this.#finished.get(told.id) ?? 0);
      if (!again && !this.#stopping) this.#work(message(this.queue, told));
      if (this.#comingAgain > 0 && --this.#comingAgain === 0) this.#loseDoubtful();
    }
  }

  /** @param {import("./link.js").Link} link */
  #subscribe(link) {
    // Later, so that whoever asked for it can listen.
    if (!link.extended) return queueMicrotask(() => this.#fail(new UnsupportedError("consume")));
    const body = { queue_name: this.queue, claim_id: this.claimId, ...this.#options };
    link.request("claim_subscribe", body, (error, reply) => {
      if (reply) {
        this.#tries = 0;
        this.#doubtful = new Set(this.#held.keys());
        this.#finished.clear();
        this.#comingAgain = reply.body.held;
        if (this.#comingAgain === 0) this.#loseDoubtful();
        for (const held of this.#held.values()) this.#finish(held);
      } else if (error instanceof UnavailableError) {
        const wait = backoff(this.#tries++, this.#context.retry);
        this.#timer = setTimeout(() => this.#subscribe(link), wait);
      } else if (!(error instanceof DisconnectedError)) this.#fail(error);
    });
  }

  /** @param {import("./message.js").Message} one */
  async #work(one) {
    /** @type {Held} */
    const held = { message: one, abort: new AbortController(), tries: 0 };
    this.#held.set(String(one.id), held);
    try {
      await this.#handler(one, { signal: held.abort.signal });
      held.finish = "message_delete";
      this.#finish(held);
    } catch (error) {
      // That it was lost, or all was stopped, has been told, and is why it failed.
      if (!this.#has(held)) return;
      if (this.handlers("failed") > 0) this.emit("failed", { message: one, error });
      else this.#context.report(error);
      if (this.#stopping) return this.#drop(held);
      // Not at once: it is at the head of the queue, so it would come back at once.
      held.timer = setTimeout(() => {
        held.finish = "message_release";
        this.#finish(held);
      }, backoff((one.claimCount ?? 1) - 1, GIVE_BACK));
    }
  }

  /** @param {Held} held */
  #has(held) {
    return this.#held.get(String(held.message.id)) === held;
  }

  /**
   * Tell the gateway that a message is done or given back; with no connection, when there is one again.
   *
   * @param {Held} held
   */
  #finish(held) {
    const { finish, message } = held;
    const link = this.#link;
    if (!finish || !link || !this.#has(held)) return;
    const ids = finish === "message_delete" ? { message_id: message.id } : { message_ids: [message.id] };
    link.request(finish, { queue_name: this.queue, claim_id: this.claimId, ...ids }, (error) => {
      if (error instanceof DisconnectedError || !this.#has(held)) return;
      if (error instanceof UnavailableError) {
        setTimeout(() => link === this.#link && this.#finish(held), backoff(held.tries++, this.#context.retry));
      } else if (error instanceof ReplyError) this.#lose(held);
      else this.#drop(held);
    });
  }

  /** Make its leases last `ttl` from now. */
  #renew() {
    const working = [...this.#held.values()].filter(({ finish }) => !finish);
    if (!this.#link || working.length === 0) return;
    const { ttl, grace } = this.#options;
    const body = { queue_name: this.queue, claim_id: this.claimId, ttl, grace };
    this.#link.request("claim_update", body, (error) => {
      // The claim has ended, and with it the leases of what was worked on then and still is.
      if (error instanceof NotFoundError) for (const held of working) if (!held.finish) this.#lose(held);
    });
  }

  /** After a cut, all that the claim still holds has come again: the rest has gone. */
  #loseDoubtful() {
    for (const id of this.#doubtful) {
      const held = this.#held.get(id);
      if (held && !held.finish) this.#lose(held);
    }
    this.#doubtful.clear();
  }

  /** @param {Held} held */
  #lose(held) {
    if (!this.#has(held)) return;
    held.abort.abort(new LeaseLostError(String(held.message.id)));
    this.emit("lost", held.message);
    this.#drop(held);
  }

  /** @param {Held} held */
  #drop({ message, timer }) {
    const id = String(message.id);
    clearTimeout(timer);
    this.#held.delete(id);
    if (this.#doubtful.delete(id)) this.#finished.set(id, message.claimCount ?? 0);
    if (this.#stopping && this.#held.size === 0) this.#end(undefined);
  }

  /** Nothing more is to be leased to it: what is would lie there. */
  #unsubscribe(tries = 0) {
    this.#link?.request("claim_unsubscribe", { queue_name: this.queue, claim_id: this.claimId }, (error) => {
      if (!(error instanceof UnavailableError)) return;
      setTimeout(() => this.#unsubscribe(tries + 1), backoff(tries, this.#context.retry));
    });
  }

  /** The gateway ends it, or it cannot be: who does not listen for that is told all the same. @param {unknown} error */
  #fail(error) {
    if (!this.#ended && this.handlers("ended") === 0) this.#context.report(error);
    this.#end(error);
  }

  /** @param {unknown} error */
  #end(error) {
    if (this.#ended) return;
    this.#ended = this.#stopping = true;
    this.#unhook();
    clearInterval(this.#renewal);
    clearTimeout(this.#timer);
    this.#unsubscribe();
    for (const { abort, timer } of this.#held.values()) {
      clearTimeout(timer);
      abort.abort(error ?? new EndedError(this.queue, "stopped"));
    }
    this.#held.clear();
    this.#context.forget(this);
    this.emit("ended", { error });
  }
}

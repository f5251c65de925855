import { afterClose, backoff, restartSpread } from "./backoff.js";
import { ClosedError, NotAllowedError, ReplyError } from "./errors.js";
import { limited } from "./limited.js";
import { Link } from "./link.js";

/** Milliseconds that a connection has to last before a failure counts as the first one again. */
const STEADY = 5_000;

/** Milliseconds that a socket has to answer when it is looked at because the device woke up. */
const WAKE_TIMEOUT = 3_000;

/**
 * `waiting` to try again, `connecting`, `connected`, or `closed` for good.
 *
 * @typedef {"waiting" | "connecting" | "connected" | "closed"} State
 */

/**
 * Returns the token to authenticate with. It is called before each connection and when a token is about to
 * expire. `null` says that there is none any more: the connection ends for good. What it throws is reported, and
 * it is asked again later.
 *
 * @typedef {() => string | null | Promise<string | null>} GetToken
 */

/**
 * What a node takes, from `describe` (docs/protocol.md); sizes in bytes, durations in seconds.
 *
 * @typedef {Record<string, number>} NodeLimits
 */

/**
 * @typedef {object} Owner what a connection tells
 * @property {(link: Link) => void} onUp requests can be sent
 * @property {() => void} onDown they cannot; what had no reply is settled after this
 * @property {(frame: any) => void} onPush
 * @property {(state: State, detail: {delay?: number, error?: unknown}) => void} onState
 * @property {(error: unknown) => void} report
 */

/**
 * @typedef {Omit<import("./link.js").LinkOptions, "onOpen" | "onPush" | "onEnd"> & {
 *   getToken?: GetToken,
 *   reconnect: {min: number, max: number},
 *   wake: import("./wake.js").Wake,
 * }} ConnectionOptions
 */

/** One socket after the other: connects, authenticates, and connects again until it is closed for good. */
export class Connection {
  /** @type {State} */
  state = "waiting";
  /** The socket on which requests can be sent. @type {Link | undefined} */
  link;
  /** Of the last node that told them. @type {NodeLimits} */
  limits = {};

  #options;
  #owner;
  /** The socket that lives, ready or not. @type {Link | undefined} */
  #current;
  #tries = 0;
  #readyAt = Infinity;
  #comeBackAt = 0;
  #refused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #unhook;

  /**
   * @param {ConnectionOptions} options
   * @param {Owner} owner
   */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#unhook = options.wake(() => this.checkNow());
    this.#wait(0);
  }

  /** Connect at once if it waits for the next try; look whether the socket still lives if there is one. */
  checkNow() {
    if (this.state === "waiting") this.#wait(0);
    else this.link?.check(WAKE_TIMEOUT);
  }

  /**
   * End it for good.
   *
   * @param {unknown} error why, for everything that still waits
   */
  close(error) {
    if (this.state === "closed") return;
    clearTimeout(this.#timer);
    this.#unhook();
    this.#set("closed", { error });
    this.#current?.end(1000, "closed");
  }

  /** @param {number} delay milliseconds until the next try */
  #wait(delay, error = /** @type {unknown} */ (undefined)) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#set("waiting", { delay, error });
  }

  #retry(error = /** @type {unknown} */ (undefined)) {
    this.#wait(backoff(this.#tries++, this.#options.reconnect), error);
  }

  async #connect() {
    this.#set("connecting", {});
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      this.#owner.report(error);
      if (this.state === "connecting") this.#retry(error);
      return;
    }
    if (this.state !== "connecting") return;
    if (token === null) return this.close(new ClosedError("there is no token"));
    try {
      const link = new Link({
        ...this.#options,
        onOpen: () => this.#greet(link, token),
        onPush: (frame) => this.#pushed(link, frame),
        onEnd: (code, reason) => this.#ended(link, code, reason),
      });
      this.#current = link;
    } catch (error) {
      // No WebSocket, or an address that is none.
      this.close(new ClosedError(String(error), undefined, error));
    }
  }

  /** Ask for a token, within the time of a handshake. */
  #token() {
    const { getToken, openTimeout } = this.#options;
    if (getToken === undefined) return undefined;
    return limited("getToken", { timeout: openTimeout }, (resolve, reject) => {
      Promise.resolve(getToken()).then(resolve, reject);
      return () => true;
    });
  }

  /**
   * The socket is open: say who we are, ask what the node takes, and let others send.
   *
   * @param {Link} link
   * @param {string | undefined} token
   */
  #greet(link, token) {
    if (token !== undefined) this.#authenticate(link, token, () => this.#describe(link), this.#owner.report);
    else this.#describe(link);
  }

  /**
   * @param {Link} link
   * @param {string} token
   * @param {() => void} done
   * @param {(error: ReplyError) => void} failed is told a refusal on a socket that goes on all the same
   */
  #authenticate(link, token, done, failed) {
    const headers = { "X-Auth-Token": token };
    const settle = (/** @type {unknown} */ error) => {
      if (!error) {
        this.#refused = false;
        return done();
      }
      if (!(error instanceof ReplyError)) return;
      if (link === this.link) return failed(error);
      // One that was just made may be wanted: ask once for another.
      if (error instanceof NotAllowedError && this.#refused) {
        return this.close(new ClosedError("the token is refused", undefined, error));
      }
      this.#refused = error instanceof NotAllowedError;
      link.end(1006, error.message);
    };
    link.request("authenticate", {}, settle, headers);
  }

  /** @param {Link} link */
  #describe(link) {
    if (!link.extended) return this.#ready(link);
    link.request("describe", {}, (error, reply) => {
      if (reply) {
        this.limits = reply.body.limits;
        link.maxBytes = this.limits["max_frame_bytes"] ?? Infinity;
        this.#ready(link);
      } else if (error instanceof NotAllowedError) {
        // No token is given and one is needed, or it is of another project: that does not pass.
        this.close(new ClosedError(error.message, undefined, error));
      } else if (error instanceof ReplyError) link.end(1006, error.message);
    });
  }

  /** @param {Link} link */
  #ready(link) {
    this.link = link;
    this.#readyAt = Date.now();
    this.#set("connected", {});
    if (this.link === link) this.#owner.onUp(link);
  }

  /**
   * @param {Link} link
   * @param {any} frame
   */
  #pushed(link, frame) {
    if (frame.event === "token_expiring") this.#renew(link, 0);
    else if (frame.event === "draining") this.#comeBackAt = Date.now() + frame.reconnect_after_ms;
    this.#owner.onPush(frame);
  }

  /**
   * Authenticate again on the same socket.
   *
   * @param {Link} link
   * @param {number} tries failures so far
   */
  async #renew(link, tries) {
    const again = (/** @type {unknown} */ error) => {
      this.#owner.report(error);
      const delay = backoff(tries, this.#options.reconnect);
      setTimeout(() => link === this.link && this.#renew(link, tries + 1), delay);
    };
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      return again(error);
    }
    if (link !== this.link) return;
    if (token === null) return this.close(new ClosedError("there is no token"));
    const failed = (/** @type {ReplyError} */ error) => (error.retryable ? again(error) : this.#owner.report(error));
    if (token) this.#authenticate(link, token, () => {}, failed);
  }

  /**
   * @param {Link} link
   * @param {number} code
   * @param {string} reason
   */
  #ended(link, code, reason) {
    this.#current = undefined;
    if (link === this.link) {
      this.link = undefined;
      this.#owner.onDown();
    }
    if (this.state === "closed") return;
    if (Date.now() - this.#readyAt >= STEADY) this.#tries = 0;
    this.#readyAt = Infinity;
    const error = new ClosedError(`the socket was closed: ${code} ${reason}`, code);
    let plan = afterClose(code);
    if (plan === "token") plan = this.#options.getToken ? "now" : "stop";
    if (plan === "stop") return this.close(error);
    const announced = this.#comeBackAt - Date.now();
    this.#comeBackAt = 0;
    if (announced > 0) this.#wait(announced, error);
    else if (plan === "spread") this.#wait(restartSpread(), error);
    // At once, but not again and again.
    else if (plan === "now" && this.#tries++ === 0) this.#wait(0, error);
    else this.#retry(error);
  }

  /**
   * @param {State} state
   * @param {{delay?: number, error?: unknown}} detail
   */
  #set(state, detail) {
    this.state = state;
    this.#owner.onState(state, detail);
  }
}

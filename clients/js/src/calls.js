import { DisconnectedError, OutcomeUnknownError } from "./errors.js";
import { limited } from "./limited.js";

/** Actions that may take effect twice if they are sent twice. */
const ONCE = new Set([
  "message_post",
  "claim_create",
  "queue_update",
  "subscription_create",
  "pool_create",
  "flavor_create",
]);

/** Whether a request whose reply was lost may be sent again. @param {Call} call */
const repeatable = ({ action, body }) => !ONCE.has(action) && body?.pop === undefined;

/**
 * @typedef {object} Call
 * @property {string} action
 * @property {any} body
 * @property {boolean} sent whether it is, or was once, on its way
 * @property {(reply: import("./link.js").Reply) => void} resolve
 * @property {(error: unknown) => void} reject
 */

/**
 * The calls that have no answer yet. They wait while there is no connection; what was on its way when the socket
 * broke is sent again where that does no harm, and is `OutcomeUnknownError` where it may.
 */
export class Calls {
  /** @type {Set<Call>} */
  #waiting = new Set();
  /** @type {import("./link.js").Link | undefined} */
  #link;

  /**
   * @param {string} action
   * @param {any} body
   * @param {import("./limited.js").Limits & {timeout: number}} limits
   * @returns {Promise<import("./link.js").Reply>}
   */
  call(action, body, limits) {
    return limited(action, limits, (resolve, reject) => {
      /** @type {Call} */
      const call = { action, body, resolve, reject, sent: false };
      this.#waiting.add(call);
      if (this.#link) this.#send(this.#link, call);
      return () => {
        this.#waiting.delete(call);
        return call.sent;
      };
    });
  }

  /** @param {import("./link.js").Link} link */
  up(link) {
    this.#link = link;
    for (const call of this.#waiting) this.#send(link, call);
  }

  down() {
    this.#link = undefined;
  }

  /** @param {unknown} error */
  close(error) {
    for (const call of this.#waiting) call.reject(error);
    this.#waiting.clear();
  }

  /**
   * @param {import("./link.js").Link} link
   * @param {Call} call
   */
  #send(link, call) {
    try {
      link.request(call.action, call.body, (error, reply) => this.#settled(call, error, reply));
      call.sent = true;
    } catch (error) {
      this.#settled(call, error);
    }
  }

  /**
   * @param {Call} call
   * @param {unknown} error
   * @param {import("./link.js").Reply} [reply]
   */
  #settled(call, error, reply) {
    if (error instanceof DisconnectedError && this.#waiting.has(call)) {
      if (!repeatable(call)) error = new OutcomeUnknownError(call.action, error);
      // It may be the one that was too large, and would break the next connection.
      else if (!error.tooLarge) return;
    }
    this.#waiting.delete(call);
    if (reply) call.resolve(reply);
    else call.reject(error);
  }
}

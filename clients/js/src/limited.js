import { TimeoutError } from "./errors.js";

/** The longest delay that timers know, in milliseconds; more is forever. */
const FOREVER = 2 ** 31 - 1;

/**
 * How long a call may take, and what ends it before.
 *
 * @typedef {object} Limits
 * @property {number} [timeout] milliseconds; `Infinity`: as long as it takes
 * @property {AbortSignal} [signal]
 */

/**
 * A promise that is rejected with `TimeoutError` when the time is over, and with the signal's reason when that
 * is aborted.
 *
 * @template Result
 * @param {string} what is done, for the error
 * @param {Limits & {timeout: number}} limits
 * @param {(resolve: (result: Result) => void, reject: (error: unknown) => void) => () => boolean} start
 *   begins it; returns what forgets it again and tells whether it had gone out
 * @returns {Promise<Result>}
 */
export function limited(what, { timeout, signal }, start) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {(() => boolean) | undefined} */
    let forget;
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    const abort = () => {
      done();
      forget?.();
      reject(signal?.reason);
    };
    const expire = () => {
      done();
      reject(new TimeoutError(what, timeout, forget?.() ?? false));
    };
    if (timeout <= FOREVER) timer = setTimeout(expire, timeout);
    signal?.addEventListener("abort", abort);
    try {
      forget = start(
        (result) => (done(), resolve(result)),
        (error) => (done(), reject(error)),
      );
    } catch (error) {
      done();
      reject(error);
    }
  });
}

/** How long to wait before something is tried again. */

/** Milliseconds over which clients spread when a gateway stops (docs/protocol.md, "Closing"). */
const RESTART_SPREAD = 5_000;

/**
 * The delay before try number `tries`, with full jitter, so that clients which failed together do not come
 * back together.
 *
 * @param {number} tries failures so far, from 0
 * @param {{min: number, max: number}} bounds milliseconds
 */
export function backoff(tries, { min, max }) {
  return Math.min(max, min + Math.random() * Math.min(max, min * 2 ** Math.min(tries, 30)));
}

/**
 * What the close code of a WebSocket asks of the client (docs/protocol.md, "Closing").
 *
 * @param {number} code
 * @returns {"token" | "stop" | "spread" | "now" | "backoff"}
 */
export function afterClose(code) {
  if (code === 4003) return "token";
  if (code >= 4000 && code < 4100) return "stop";
  if (code >= 4200 && code < 4300) return "now";
  return code === 1012 ? "spread" : "backoff";
}

/** Milliseconds to wait after a 1012 that was not announced. */
export function restartSpread() {
  return Math.random() * RESTART_SPREAD;
}

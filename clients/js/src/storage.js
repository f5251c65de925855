/**
 * Where positions are kept, so that a page that is loaded again goes on where it was. Both functions may answer
 * at once or by a promise.
 *
 * @typedef {object} Storage
 * @property {(key: string) => string | null | undefined | Promise<string | null | undefined>} get
 * @property {(key: string, value: string) => unknown} set
 */

/**
 * Positions in the page's `localStorage`, or in `sessionStorage`: `connect({storage: webStorage()})`.
 *
 * @param {Pick<globalThis.Storage, "getItem" | "setItem">} [area]
 * @returns {Storage}
 */
export function webStorage(area = globalThis.localStorage) {
  return {
    get: (key) => area.getItem(key),
    set: (key, value) => area.setItem(key, value),
  };
}

/**
 * Positions that live as long as the program, for several connections one after the other.
 *
 * @returns {Storage}
 */
export function memoryStorage() {
  const kept = new Map();
  return {
    get: (key) => kept.get(key),
    set: (key, value) => kept.set(key, value),
  };
}

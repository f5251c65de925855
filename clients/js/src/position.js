/**
 * How far a subscription has been handled, kept in a storage. One write is under way at a time, and the next one
 * has the newest position.
 */
export class Position {
  #storage;
  #key;
  #report;
  /** @type {string | undefined} */
  #next;
  #writing = false;

  /**
   * @param {import("./storage.js").Storage | undefined} storage
   * @param {string} key
   * @param {(error: unknown) => void} report
   */
  constructor(storage, key, report) {
    this.#storage = storage;
    this.#key = key;
    this.#report = report;
  }

  /** What is kept; `undefined` if there is nothing, or it cannot be read. */
  async load() {
    try {
      return (await this.#storage?.get(this.#key)) ?? undefined;
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }

  /** @param {string} marker */
  save(marker) {
    if (this.#storage === undefined) return;
    this.#next = marker;
    if (!this.#writing) this.#write(this.#storage);
  }

  /** @param {import("./storage.js").Storage} storage */
  async #write(storage) {
    this.#writing = true;
    while (this.#next !== undefined) {
      const marker = this.#next;
      this.#next = undefined;
      try {
        const written = storage.set(this.#key, marker);
        // Where it is done at once, it is done before the page can go away.
        if (written instanceof Promise) await written;
      } catch (error) {
        this.#report(error);
      }
    }
    this.#writing = false;
  }
}

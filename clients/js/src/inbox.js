/** @typedef {import("./message.js").Message} Message */

/**
 * What has come and the application has not taken yet. It is taken by iteration, or all at once.
 */
export class Inbox {
  /** Whether somebody iterates, or has. */
  iterated = false;
  #most;
  #owner;
  /** @type {Message[]} */
  #waiting = [];
  /** Wakes the iterator. @type {(() => void) | undefined} */
  #wake;
  #ended = false;
  #error = /** @type {unknown} */ (undefined);

  /**
   * @param {number} most messages that may wait
   * @param {{onTaken: () => void, onHandled: (message: Message) => void, onLeft: () => void}} owner is told when a
   *   message is taken, when the application has done with it, and when a loop is left
   */
  constructor(most, owner) {
    this.#most = most;
    this.#owner = owner;
  }

  get full() {
    return this.#waiting.length >= this.#most;
  }

  /** Whether half of the room is free. */
  get roomy() {
    return this.#waiting.length * 2 <= this.#most;
  }

  /** @param {Message} message */
  add(message) {
    this.#waiting.push(message);
    this.#wake?.();
  }

  /** All that waits; then nothing does. */
  empty() {
    return this.#waiting.splice(0);
  }

  /**
   * Nothing more will come: what waits can still be taken.
   *
   * @param {unknown} error is thrown behind it, if there is one
   */
  end(error) {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  /** @returns {AsyncIterator<Message, undefined>} */
  iterate() {
    if (this.iterated) throw new TypeError("a subscription is iterated over once");
    this.iterated = true;
    /** @type {Message | undefined} */
    let last;
    return {
      next: async () => {
        // Who asks for the next one has done with the one before. Who leaves may have thrown over it.
        if (last) this.#owner.onHandled(last);
        while (this.#waiting.length === 0 && !this.#ended) {
          await new Promise((wake) => (this.#wake = () => wake(undefined)));
        }
        last = this.#waiting.shift();
        if (last !== undefined) {
          this.#owner.onTaken();
          return { done: false, value: last };
        }
        if (this.#error !== undefined) throw this.#error;
        return { done: true, value: undefined };
      },
      return: async () => {
        this.#owner.onLeft();
        return { done: true, value: undefined };
      },
    };
  }
}

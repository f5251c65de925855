/**
 * Typed events, whose handlers cannot hurt each other.
 *
 * @template {Record<string, any>} Events names of events, each with what its handlers are given
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(detail: any) => unknown>>} */
  #handlers = new Map();
  #report;

  /** @param {(error: unknown) => void} report is told what a handler throws, or rejects with */
  constructor(report) {
    this.#report = report;
  }

  /**
   * Call `handler` each time that this happens.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => unknown} handler
   * @returns {() => void} takes the handler away again
   */
  on(name, handler) {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
    return () => {
      handlers.delete(handler);
    };
  }

  /**
   * How many handlers an event has.
   *
   * @protected
   * @param {keyof Events} name
   */
  handlers(name) {
    return this.#handlers.get(name)?.size ?? 0;
  }

  /**
   * Tell all handlers, whatever any of them throws.
   *
   * @protected
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  emit(name, detail) {
    for (const handler of [...(this.#handlers.get(name) ?? [])]) {
      try {
        Promise.resolve(handler(detail)).catch(this.#report);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}

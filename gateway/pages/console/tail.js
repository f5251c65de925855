// The messages of a queue as they come, and what is known of those that did not.
import { element } from "../protocol/element.js";

/** Messages that stay on the page. */
const MOST = 200;

/** A body as it is shown. */
export function shown(body) {
  return typeof body === "string" ? body : JSON.stringify(body, null, 1);
}

export class Tail {
  #list;
  #state;
  #onStart;
  #onMessage;
  #subscription = null;
  #paused = false;

  /**
   * @param {Element} list @param {Element} state where it says how it stands
   * @param {(position: number) => void} onStart is told behind which position messages come now
   * @param {(position: number) => void} onMessage is told the position of each message
   */
  constructor(list, state, onStart, onMessage) {
    this.#list = list;
    this.#state = state;
    this.#onStart = onStart;
    this.#onMessage = onMessage;
  }

  /** Follow a queue. Of another one that was followed before nothing more is shown. */
  follow(gateway, queue, from = "now") {
    this.stop();
    this.#say("Subscribing…");
    // The name keeps positions of this page apart from those of the application's own subscriptions.
    const subscription = gateway.subscribe(queue, { from, name: `console ${queue} ${from}` });
    this.#subscription = subscription;
    subscription.on("message", (message) => this.#show(message));
    subscription.on("subscribed", ({ recovered, gap, marker }) => {
      this.#onStart(Number(marker));
      this.#say(gap || !recovered ? "Live. Something is missing: see below." : "Live. Nothing is missing.");
    });
    subscription.on("gap", (gap) => {
      const where = gap.from === null ? "" : ` between ${gap.from} and ${gap.to}`;
      this.#add(element("li", { class: "gap" }, `Messages are missing${where}: ${gap.reason}.`));
    });
    subscription.on("behind", () => this.#say("Behind: more comes than this page takes."));
    subscription.on("caught_up", () => this.#say("Live. It has caught up."));
    subscription.on("ended", ({ error }) => error && this.#say(`Ended: ${error.message}.`));
  }

  /** The connection is gone, and will come back. */
  interrupted() {
    if (this.#subscription) this.#say("Waiting for the connection; what comes meanwhile is shown then.");
  }

  stop() {
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    this.clear();
  }

  clear() {
    this.#list.replaceChildren();
  }

  /** @param {boolean} paused whether messages are counted only */
  pause(paused) {
    this.#paused = paused;
  }

  #show(message) {
    this.#onMessage(Number(message.marker));
    if (this.#paused) return;
    const time = element("time", { datetime: message.created ?? "" }, (message.created ?? "").slice(11, 19));
    this.#add(element("li", {}, time, element("pre", {}, shown(message.body))));
  }

  #add(item) {
    this.#list.prepend(item);
    while (this.#list.children.length > MOST) this.#list.lastChild.remove();
  }

  #say(text) {
    this.#state.textContent = text;
  }
}

// The project's queues with their counts.
import { element } from "../protocol/element.js";

/** Milliseconds between two looks at the counts. */
const INTERVAL = 1_000;

/** Queues whose counts are looked at; of more there is a list only. */
const MOST_COUNTED = 40;

export class Queues {
  #rows;
  #more;
  #none;
  #onChoose;
  #onCounts;
  #gateway = null;
  #marker = null;
  /** @type {Map<string, {row: Element, choose: Element, free: Element, claimed: Element}>} */
  #known = new Map();
  #chosen = "";
  #timer = 0;

  /**
   * @param {{rows: Element, more: Element, none: Element}} parts of the page
   * @param {(name: string) => void} onChoose
   * @param {(name: string, counts: {total: number}) => void} onCounts
   */
  constructor({ rows, more, none }, onChoose, onCounts) {
    this.#rows = rows;
    this.#more = more;
    this.#none = none;
    this.#onChoose = onChoose;
    this.#onCounts = onCounts;
  }

  /** Show the queues of a gateway's project, from the first on. */
  async show(gateway) {
    clearTimeout(this.#timer);
    this.#gateway = gateway;
    this.#marker = null;
    this.#known.clear();
    this.#rows.replaceChildren();
    this.choose("");
    await this.more();
    this.#look();
  }

  /** Show the next page of them. */
  async more() {
    const { queues, marker } = await this.#gateway.queues({ limit: 20, ...(this.#marker && { marker: this.#marker }) });
    for (const { name } of queues) this.add(name);
    this.#marker = marker;
    this.#more.hidden = queues.length < 20;
    this.#none.hidden = this.#known.size > 0;
  }

  add(name) {
    if (this.#known.has(name)) return;
    const choose = element("button", { type: "button" }, name);
    choose.addEventListener("click", () => this.#onChoose(name));
    const [free, claimed] = [element("td", {}, "…"), element("td", {}, "…")];
    const row = element("tr", {}, element("td", {}, choose), free, claimed);
    this.#known.set(name, { row, choose, free, claimed });
    this.#rows.append(row);
    this.#none.hidden = true;
  }

  /** Mark the one that is shown beside the list. */
  choose(name) {
    this.#known.get(this.#chosen)?.choose.removeAttribute("aria-current");
    this.#chosen = name;
    this.#known.get(name)?.choose.setAttribute("aria-current", "true");
  }

  /** Look at the counts, again and again; one look at a time, and none while nobody sees the page. */
  async #look() {
    const gateway = this.#gateway;
    if (!document.hidden && gateway.state === "connected") {
      const names = [...this.#known.keys()].slice(0, MOST_COUNTED);
      if (this.#chosen && !names.includes(this.#chosen)) names.push(this.#chosen);
      await Promise.allSettled(names.map((name) => this.#count(gateway, name)));
    }
    if (gateway === this.#gateway && gateway.state !== "closed") {
      this.#timer = setTimeout(() => this.#look(), INTERVAL);
    }
  }

  async #count(gateway, name) {
    const counts = await gateway.queue(name).stats();
    const row = this.#known.get(name);
    if (gateway !== this.#gateway || !row) return;
    row.free.textContent = counts.free;
    row.claimed.textContent = counts.claimed;
    if (name === this.#chosen) this.#onCounts(name, counts);
  }
}

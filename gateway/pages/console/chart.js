// Messages in and out of a queue, per second.

const SECONDS = 60;
const WIDTH = 600;
const HEIGHT = 120;
const SVG = "http://www.w3.org/2000/svg";

/**
 * A chart of the last minute. What comes in is counted by the subscription; what goes out follows from how many
 * messages are left: deleted, popped, expired.
 */
export class Chart {
  #into;
  #told;
  #in = new Array(SECONDS).fill(0);
  #out = new Array(SECONDS).fill(0);
  #came = 0;
  #left = 0;
  #total = null;
  #newest = 0;

  /** @param {SVGElement} into @param {Element} told where it stands in words */
  constructor(into, told) {
    this.#into = into;
    this.#told = told;
    this.#draw();
  }

  /** What stands up to this position was there before. */
  begin(position) {
    this.#newest = Math.max(this.#newest, position);
  }

  /** A message came; it counts unless it only came once more, from the earliest on. */
  count(position) {
    if (position <= this.#newest) return;
    this.#newest = position;
    this.#came += 1;
    this.#left += 1;
  }

  /** The queue holds so many messages now. */
  holds(total) {
    if (this.#total !== null) {
      const gone = this.#total + this.#left - total;
      // Messages that came but were not pushed yet make it look as if some had come back.
      if (gone > 0) this.#out[SECONDS - 1] += gone;
    }
    this.#total = total;
    this.#left = 0;
  }

  /** A second is over. */
  tick() {
    this.#in[SECONDS - 1] += this.#came;
    this.#came = 0;
    this.#draw();
    for (const line of [this.#in, this.#out]) {
      line.shift();
      line.push(0);
    }
  }

  #draw() {
    const peak = Math.max(...this.#in, ...this.#out);
    const most = Math.max(1, peak);
    const line = (values, name) => {
      const made = document.createElementNS(SVG, "polyline");
      made.setAttribute("class", name);
      const points = values.map((value, i) => [(i * WIDTH) / (SECONDS - 1), HEIGHT - 4 - (value / most) * (HEIGHT - 12)]);
      made.setAttribute("points", points.map((point) => point.map((each) => each.toFixed(1)).join(",")).join(" "));
      return made;
    };
    this.#into.replaceChildren(line(this.#in, "in"), line(this.#out, "out"));
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    this.#told.textContent = `In (solid) ${sum(this.#in)}, out (dashed) ${sum(this.#out)}; at most ${peak} in one second.`;
  }
}

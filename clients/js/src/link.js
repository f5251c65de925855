import { BadRequestError, DisconnectedError, replyError } from "./errors.js";

/** The subprotocol that makes a socket an extended one (docs/extension.md). */
const SUBPROTOCOL = "zaqar-gateway.v1";

/** A header of ours: servers without the extension echo it, so that replies can be told apart. */
const REQUEST_ID = "X-Request-ID";

/**
 * A reply as it came.
 *
 * @typedef {{status: number, body: any}} Reply
 */

/**
 * Is told the end of a request, in the same turn in which the reply's frame came.
 *
 * @typedef {(error: unknown, reply?: Reply) => void} Settle
 */

/**
 * Turns requests into frames and back. `encode` throws for what it cannot tell.
 *
 * @typedef {object} Codec
 * @property {(document: any) => string | Uint8Array<ArrayBuffer>} encode
 * @property {(frame: ArrayBuffer) => any} decode a binary frame; text is always JSON
 */

/** @type {Codec} */
export const json = {
  encode: JSON.stringify,
  decode: (frame) => JSON.parse(new TextDecoder().decode(frame)),
};

/**
 * Bytes of a frame.
 *
 * @param {string | Uint8Array} frame
 */
export const size = (frame) => (typeof frame === "string" ? new TextEncoder().encode(frame) : frame).length;

/**
 * @typedef {object} LinkOptions
 * @property {string} url
 * @property {typeof globalThis.WebSocket} WebSocket
 * @property {boolean} extension whether the subprotocol is offered
 * @property {Codec} codec
 * @property {Record<string, string>} headers of every request
 * @property {number} openTimeout milliseconds for the handshake
 * @property {number} pingInterval milliseconds of silence after which the server is asked for an answer
 * @property {number} replyTimeout milliseconds without any reply after which the socket counts as dead
 * @property {() => void} onOpen
 * @property {(frame: any) => void} onPush what came unasked
 * @property {(code: number, reason: string) => void} onEnd once, after which nothing is called any more
 */

/**
 * One WebSocket, from its opening to its end: requests and their replies, and whether it still lives.
 *
 * A browser cannot ping, and a socket whose other side has vanished looks like an idle one for minutes. So after
 * silence it asks something cheap, and any reply that does not come in time ends it.
 */
export class Link {
  /** Whether the server has agreed on the extension. Known from `onOpen` on. */
  extended = false;
  /** Bytes of the largest frame that the server takes, once it has told. It closes the socket over a larger one. */
  maxBytes = Infinity;

  #options;
  #socket;
  /** @type {Map<number, {action: string, sentAt: number, settle: Settle}>} in the order in which they were sent */
  #pending = new Map();
  #lastId = 0;
  #heardAt = Date.now();
  #repliedAt = 0;
  #hurry = Infinity;
  #ended = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #timerDue = 0;

  /** @param {LinkOptions} options */
  constructor(options) {
    this.#options = options;
    const socket = new options.WebSocket(options.url, options.extension ? [SUBPROTOCOL] : []);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.extended = socket.protocol === SUBPROTOCOL;
      clearTimeout(this.#timer);
      this.#heardAt = Date.now();
      this.#watch();
      options.onOpen();
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.end(event.code, event.reason);
    // What is wrong is told by `onclose`, which follows.
    socket.onerror = () => {};
    this.#timer = setTimeout(() => this.end(1006, "the handshake took too long"), options.openTimeout);
  }

  /**
   * Send a request. Throws what the codec throws, and `BadRequestError` for one that is too large: then nothing was
   * sent.
   *
   * @param {string} action
   * @param {unknown} body
   * @param {Settle} settle
   * @param {Record<string, string>} [headers] beside those of every request
   */
  request(action, body, settle, headers) {
    const id = ++this.#lastId;
    /** @type {Record<string, unknown>} */
    const frame = { action, headers: { ...this.#options.headers, ...headers }, body };
    if (this.extended) Object.assign(frame, { id, echo: false });
    else Object.assign(/** @type {object} */ (frame.headers), { [REQUEST_ID]: String(id) });
    const encoded = this.#options.codec.encode(frame);
    const { maxBytes } = this;
    if (encoded.length > maxBytes / 3 && size(encoded) > maxBytes) {
      const exception = `the request has ${size(encoded)} bytes, and the server takes ${maxBytes}`;
      throw new BadRequestError(action, 400, { exception, code: "frame_too_large" });
    }
    this.#pending.set(id, { action, sentAt: Date.now(), settle });
    this.#socket.send(encoded);
    this.#watch();
  }

  /**
   * Find out whether the other side is still there; if not, it ends soon.
   *
   * @param {number} timeout milliseconds that it has for an answer
   */
  check(timeout) {
    this.#hurry = timeout;
    if (this.#pending.size === 0) this.#ping();
    // What was asked before has the whole time from now on.
    else this.#repliedAt = Date.now();
    this.#watch();
  }

  /**
   * End it. What has no reply yet is settled with an error.
   *
   * @param {number} code
   * @param {string} reason
   */
  end(code, reason) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // The goodbye of a dead socket may take minutes: nobody waits for it.
    socket.close();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#options.onEnd(code, reason);
    for (const { settle } of pending) settle(new DisconnectedError(code));
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    let frame;
    try {
      frame = typeof data === "string" ? JSON.parse(data) : this.#options.codec.decode(data);
    } catch (error) {
      return this.end(1007, String(error));
    }
    this.#heardAt = Date.now();
    if (frame.headers === undefined) this.#options.onPush(frame);
    else this.#settle(frame);
  }

  /** @param {any} frame */
  #settle(frame) {
    const told = this.extended ? frame.id : Number(frame.request?.headers?.[REQUEST_ID]);
    // Replies come in order, so one that names no request is for the first.
    const id = this.#pending.has(told) ? told : this.#pending.keys().next().value;
    const request = this.#pending.get(id);
    if (request === undefined) return;
    this.#pending.delete(id);
    this.#repliedAt = this.#heardAt;
    this.#hurry = Infinity;
    const { status } = frame.headers;
    if (status < 300) request.settle(undefined, { status, body: frame.body });
    else request.settle(replyError(request.action, status, frame.body));
  }

  /** Ask what every server answers at once. */
  #ping() {
    // Upstream's server drops the connection over `ping_node`.
    if (this.extended) this.request("ping_node", {}, () => {});
    else this.request("queue_list", { limit: 1 }, () => {});
  }

  /** When something has to be done, unless a frame comes. */
  #due() {
    const oldest = this.#pending.values().next().value;
    if (oldest === undefined) return this.#heardAt + this.#options.pingInterval;
    const limit = Math.min(this.#hurry, this.#options.replyTimeout);
    return Math.max(oldest.sentAt, this.#repliedAt) + limit;
  }

  /** Keep one timer, no later than what is due; one that is early looks again. */
  #watch() {
    const due = this.#due();
    if (this.#ended || (this.#timerDue > Date.now() && this.#timerDue <= due)) return;
    clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = setTimeout(() => {
      this.#timerDue = 0;
      if (Date.now() < this.#due()) this.#watch();
      else if (this.#pending.size > 0) this.end(1006, "no answer");
      else this.#ping();
    }, due - Date.now());
  }
}

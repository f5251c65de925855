/**
 * Everything that calls are rejected with.
 *
 * - `GatewayError`: all of them; `code` is for programs
 *   - `ReplyError`: the gateway refused; `status`, `action`, `body`, `retryable`
 *     - `BadRequestError` 400, `NotAllowedError` 401 and 403, `NotFoundError` 404, `ConflictError` 409,
 *       `ServerError` 500, `UnavailableError` 429 and 503
 *   - `TimeoutError`: the time given to a call is over
 *   - `DisconnectedError`: the socket broke
 *   - `OutcomeUnknownError`: what was asked for may have been done or not
 *   - `OutboxFullError`: too much waits to be posted
 *   - `UnsupportedError`: needs a socket that has agreed on the extension
 *   - `ClosedError`: the connection has ended for good
 *   - `EndedError`: a subscription or a consumer was ended by the other side
 *   - `LeaseLostError`: a message is somebody else's now
 *
 * A call that its `AbortSignal` ends is rejected with the signal's reason.
 */

/** What all errors of this package are. */
export class GatewayError extends Error {
  /**
   * @param {string} code for programs; does not change
   * @param {string} message for people; may change
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "GatewayError";
    /** @readonly */
    this.code = code;
  }
}

/** The gateway refused a request. `code` is one of protocol.md, "Errors", or `""` from a server that has none. */
export class ReplyError extends GatewayError {
  /**
   * @param {string} action
   * @param {number} status
   * @param {any} body
   */
  constructor(action, status, body) {
    const text = typeof body === "string" ? body : body?.exception || body?.error || "refused";
    super(body?.code ?? "", `${action}: ${status} ${text}${body?.detail ? `: ${body.detail}` : ""}`);
    this.name = "ReplyError";
    /** @readonly */
    this.action = action;
    /** The reply's status, with the meaning of HTTP's. @readonly */
    this.status = status;
    /** The reply's whole body. @readonly */
    this.body = body;
    /** Whether the same request may succeed later. @readonly */
    this.retryable = status === 503 || status === 429;
  }
}

/** 400: the request has to be changed. */
export class BadRequestError extends ReplyError {}
/** 401 or 403: not authenticated, or not allowed. */
export class NotAllowedError extends ReplyError {}
/** 404: it does not exist in this project and queue. */
export class NotFoundError extends ReplyError {}
/** 409: it exists already, or is not there to be changed. */
export class ConflictError extends ReplyError {}
/** 500: a fault of the gateway. */
export class ServerError extends ReplyError {}
/**
 * 503: something the gateway depends on does not answer; with code `outcome_unknown` it may have been done. Or 429:
 * requests come faster than they may, and nothing was done.
 */
export class UnavailableError extends ReplyError {}

/** @type {Record<number, typeof ReplyError>} */
const BY_STATUS = {
  400: BadRequestError,
  401: NotAllowedError,
  403: NotAllowedError,
  404: NotFoundError,
  409: ConflictError,
  429: UnavailableError,
  500: ServerError,
  503: UnavailableError,
};

/**
 * The error that a refusal is told by.
 *
 * @param {string} action
 * @param {number} status
 * @param {any} body
 */
export function replyError(action, status, body) {
  return new (BY_STATUS[status] ?? ReplyError)(action, status, body);
}

/** The time given to a call is over. What was sent may have been done: see `sent`. */
export class TimeoutError extends GatewayError {
  /**
   * @param {string} what
   * @param {number} milliseconds
   * @param {boolean} sent whether the request had gone out
   */
  constructor(what, milliseconds, sent) {
    super("timeout", `${what}: no answer within ${milliseconds} ms`);
    this.name = "TimeoutError";
    /** Whether the request had gone out: if not, nothing was done. @readonly */
    this.sent = sent;
  }
}

/** The socket broke before the reply came. Calls are rejected with it only if it must not be sent again. */
export class DisconnectedError extends GatewayError {
  /** @param {number} closeCode of the WebSocket; 1006 if it just broke, 1009 if something sent was too large */
  constructor(closeCode) {
    super("disconnected", `the connection broke (${closeCode})`);
    this.name = "DisconnectedError";
    /** @readonly */
    this.closeCode = closeCode;
  }

  /** Whether it broke because of something that was sent and is larger than the server takes. */
  get tooLarge() {
    return this.closeCode === 1009;
  }
}

/** The request was sent, its reply was lost, and repeating it could do it twice. */
export class OutcomeUnknownError extends GatewayError {
  /**
   * @param {string} what
   * @param {unknown} [cause]
   */
  constructor(what, cause) {
    super("outcome_unknown", `${what}: it may have been done or not`, cause);
    this.name = "OutcomeUnknownError";
  }
}

/** As much waits to be posted as may; nothing of this post was taken. */
export class OutboxFullError extends GatewayError {
  constructor() {
    super("outbox_full", "too many posts wait for the gateway");
    this.name = "OutboxFullError";
  }
}

/** The server has not agreed on the extension `zaqar-gateway.v1`, which this needs. */
export class UnsupportedError extends GatewayError {
  /** @param {string} what */
  constructor(what) {
    super("unsupported", `${what} needs a server with the extension zaqar-gateway.v1`);
    this.name = "UnsupportedError";
  }
}

/** The connection has ended for good: by `close()`, or because connecting again cannot help. */
export class ClosedError extends GatewayError {
  /**
   * @param {string} message
   * @param {number} [closeCode] of the WebSocket that ended it
   * @param {unknown} [cause]
   */
  constructor(message, closeCode, cause) {
    super("closed", message, cause);
    this.name = "ClosedError";
    /** @readonly */
    this.closeCode = closeCode;
  }
}

/** The gateway ended a subscription or a consumer. */
export class EndedError extends GatewayError {
  /**
   * @param {string} queue
   * @param {string} reason such as `queue_deleted` (docs/extension.md, docs/protocol.md)
   */
  constructor(queue, reason) {
    super("ended", `the gateway ended it for the queue ${queue}: ${reason}`);
    this.name = "EndedError";
    /** @readonly */
    this.reason = reason;
  }
}

/** The lease of a message has ended while it was worked on: it may be given to somebody else. */
export class LeaseLostError extends GatewayError {
  /** @param {string} id of the message */
  constructor(id) {
    super("lease_lost", `the lease of message ${id} has ended`);
    this.name = "LeaseLostError";
  }
}

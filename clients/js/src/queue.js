import { message } from "./message.js";

/** @typedef {import("./limited.js").Limits} Limits */
/** @typedef {import("./message.js").Message} Message */

/**
 * What can be told of a message that is posted. `ttl`: seconds that it lives; `delay`: seconds until it can be
 * seen; `dedupId`: at most 128 bytes; the queue stores no second message with it for some minutes.
 *
 * @typedef {{ttl?: number, delay?: number, dedupId?: string}} PostFields
 */

/** @param {{body: unknown} & PostFields} message */
const told = ({ body, ttl, delay, dedupId }) => ({
  body,
  ...(ttl !== undefined && { ttl }),
  ...(delay !== undefined && { delay }),
  ...(dedupId !== undefined && { dedup_id: dedupId }),
});

/** What can be done with one queue. It need not exist: posts and subscriptions create it. */
export class Queue {
  #gateway;
  #outbox;

  /**
   * @param {import("./gateway.js").Gateway} gateway
   * @param {import("./outbox.js").Outbox} outbox
   * @param {string} name
   */
  constructor(gateway, outbox, name) {
    this.#gateway = gateway;
    this.#outbox = outbox;
    /** @readonly */
    this.name = name;
  }

  /**
   * Post a message. While there is no connection it waits in the outbox; it is stored once, and behind the posts
   * to this queue that came before. Without a `timeout` it is tried as long as that can be promised.
   *
   * @param {unknown} body any value that JSON can tell
   * @param {PostFields & Limits} [options]
   * @returns {Promise<string>} its id
   */
  async post(body, { timeout, signal, ...fields } = {}) {
    const [id] = await this.postMany([{ body, ...fields }], { timeout, signal });
    return /** @type {string} */ (id);
  }

  /**
   * Post messages: all of them are stored, or none.
   *
   * @param {({body: unknown} & PostFields)[]} messages
   * @param {Limits} [limits]
   * @returns {Promise<string[]>} their ids
   */
  async postMany(messages, { timeout = Infinity, signal } = {}) {
    return this.#outbox.post(this.name, messages.map(told), { timeout, signal });
  }

  /**
   * Read a page of messages.
   *
   * @param {{marker?: string, limit?: number, echo?: boolean, includeClaimed?: boolean, includeDelayed?: boolean}
   *   & Limits} [options] `marker`: go on behind this; `limit`: 1 to 20; `echo`: own messages too, the default
   * @returns {Promise<{messages: Message[], marker: string | null}>}
   */
  async list({ marker, limit, echo = true, includeClaimed, includeDelayed, ...limits } = {}) {
    const fields = { marker, limit, echo, include_claimed: includeClaimed, include_delayed: includeDelayed };
    const body = await this.#call("message_list", fields, limits);
    return { messages: this.#messages(body), marker: body.marker ?? null };
  }

  /**
   * Read one message. Rejected with `NotFoundError` if it is not there.
   *
   * @param {string} id
   * @param {Limits} [limits]
   * @returns {Promise<Message>}
   */
  async get(id, limits) {
    const body = await this.#call("message_get", { message_id: id }, limits);
    return message(this.name, body.messages);
  }

  /**
   * Read messages; those that are not there are left out.
   *
   * @param {string[]} ids 1 to 20
   * @param {Limits} [limits]
   */
  async getMany(ids, limits) {
    return this.#messages(await this.#call("message_get_many", { message_ids: ids }, limits));
  }

  /**
   * Delete a message. A claimed one needs its claim's id.
   *
   * @param {string} id
   * @param {{claimId?: string} & Limits} [options]
   */
  async deleteMessage(id, { claimId, ...limits } = {}) {
    await this.#call("message_delete", { message_id: id, claim_id: claimId }, limits);
  }

  /**
   * Take and delete the first messages. At most once: if the reply is lost, so are they.
   *
   * @param {number} [count] 1 to 20
   * @param {Limits} [limits]
   */
  async pop(count = 1, limits) {
    return this.#messages(await this.#call("message_delete_many", { pop: count }, limits));
  }

  /**
   * Lease messages for a while. `consume` does that continuously.
   *
   * @param {{limit?: number, ttl?: number, grace?: number} & Limits} [options] at most `limit` messages (1 to 20);
   *   `ttl`: seconds that the claim lives
   * @returns {Promise<Claim | null>} null: there is nothing to do
   */
  async claim({ limit, ttl, grace, ...limits } = {}) {
    const body = await this.#call("claim_create", { limit, ttl, grace }, limits);
    return body.messages?.length ? new Claim(this, this.#call, body.claim_id, this.#messages(body)) : null;
  }

  /**
   * How many messages there are, and the newest and the oldest of them. All 0 for a queue that does not exist.
   *
   * @param {Limits} [limits]
   * @returns {Promise<{free: number, claimed: number, total: number, newest?: Message, oldest?: Message}>}
   */
  async stats(limits) {
    try {
      const { newest, oldest, ...counts } = (await this.#call("queue_get_stats", {}, limits)).messages;
      return {
        ...counts,
        ...(newest && { newest: message(this.name, newest) }),
        ...(oldest && { oldest: message(this.name, oldest) }),
      };
    } catch (/** @type {any} */ error) {
      if (error.status === 404 && error.body?.messages) return error.body.messages;
      throw error;
    }
  }

  /**
   * Create it. One that exists keeps its metadata.
   *
   * @param {{metadata?: Record<string, unknown>} & Limits} [options]
   */
  async create({ metadata, ...limits } = {}) {
    await this.#call("queue_create", { metadata }, limits);
  }

  /**
   * Its metadata; `{}` if it does not exist.
   *
   * @param {Limits} [limits]
   * @returns {Promise<Record<string, any>>}
   */
  async metadata(limits) {
    return this.#call("queue_get", {}, limits);
  }

  /**
   * Change its metadata: all steps or none.
   *
   * @param {{op: "add" | "replace" | "remove", path: string, value?: unknown}[]} patch paths begin with `/metadata/`
   * @param {Limits} [limits]
   * @returns {Promise<Record<string, any>>}
   */
  async update(patch, limits) {
    return this.#call("queue_update", { patch }, limits);
  }

  /**
   * Remove its messages, its subscriptions, or both.
   *
   * @param {("messages" | "subscriptions")[]} [what]
   * @param {Limits} [limits]
   */
  async purge(what, limits) {
    await this.#call("queue_purge", { resource_types: what }, limits);
  }

  /**
   * Remove it with all that is in it.
   *
   * @param {Limits} [limits]
   */
  async delete(limits) {
    await this.#call("queue_delete", {}, limits);
  }

  /**
   * The same as the gateway's `subscribe`.
   *
   * @param {import("./subscription.js").SubscribeOptions} [options]
   */
  subscribe(options) {
    return this.#gateway.subscribe(this.name, options);
  }

  /**
   * The same as the gateway's `consume`.
   *
   * @param {import("./consumer.js").Handler} handler
   * @param {import("./consumer.js").ConsumeOptions} [options]
   */
  consume(handler, options) {
    return this.#gateway.consume(this.name, handler, options);
  }

  /**
   * @param {string} action
   * @param {object} fields
   * @param {Limits} [limits]
   */
  #call = async (action, fields, limits) => {
    const given = Object.entries(fields).filter(([, value]) => value !== undefined);
    const body = { queue_name: this.name, ...Object.fromEntries(given) };
    return (await this.#gateway.call(action, body, limits)).body;
  };

  /** @param {any} body @returns {Message[]} */
  #messages(body) {
    return (Array.isArray(body) ? body : body.messages).map((/** @type {any} */ one) => message(this.name, one));
  }
}

/** Messages that are leased together. */
export class Claim {
  #call;

  /**
   * @param {Queue} queue
   * @param {(action: string, fields: object, limits?: Limits) => Promise<any>} call
   * @param {string} id
   * @param {Message[]} messages
   */
  constructor(queue, call, id, messages) {
    /** @readonly */
    this.queue = queue;
    this.#call = call;
    /** @readonly */
    this.id = id;
    /** What was leased, in the order of the queue. @readonly */
    this.messages = messages;
  }

  /**
   * Delete a message: its work is done.
   *
   * @param {Message} message
   * @param {Limits} [limits]
   */
  async acknowledge(message, limits) {
    await this.queue.deleteMessage(String(message.id), { claimId: this.id, ...limits });
  }

  /**
   * Make it last longer.
   *
   * @param {{ttl?: number, grace?: number} & Limits} [options] seconds from now
   */
  async renew({ ttl, grace, ...limits } = {}) {
    await this.#call("claim_update", { claim_id: this.id, ttl, grace }, limits);
  }

  /**
   * Give back what was not acknowledged.
   *
   * @param {Limits} [limits]
   */
  async release(limits) {
    await this.#call("claim_delete", { claim_id: this.id }, limits);
  }
}

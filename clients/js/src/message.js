/**
 * A message, however it came. Times in seconds.
 *
 * @template [Body=any]
 * @typedef {object} Message
 * @property {string} queue its queue's name
 * @property {Body} body as it was posted
 * @property {string} [id] not from a subscription on a server without the extension
 * @property {number} ttl that it lives, counted from its post
 * @property {number} [age] since its post; not from a subscription
 * @property {string} [created] time of its post (ISO 8601, UTC): from subscriptions, consumers, `pop` and `stats`
 * @property {string} [marker] its position: from subscriptions
 * @property {string | null} [claimId] the claim that holds it
 * @property {number} [claimCount] how often it was handed out: from consumers, `pop` and `stats`
 * @property {{queue: string, id: string}} [deadLetter] where it came from, in a dead letter queue
 */

/**
 * What a subscription does not get: behind `from`, up to `to`, something is missing. `reason` is one of
 * docs/extension.md, "Gaps"; or `no_resume`: the server has no extension, so what was posted during a cut is
 * missing; or `overflow`: the same server, and the application did not take messages as they came. Both have no
 * positions.
 *
 * @typedef {{from: string | null, to: string | null, reason: string}} Gap
 */

/**
 * @param {string} queue
 * @param {any} told a message or a notification of the protocol
 * @returns {Message}
 */
export function message(queue, told) {
  const { dead_letter: dead } = told;
  /** @type {any} */
  const all = {
    queue,
    body: told.body,
    id: told.id ?? told.message_id,
    ttl: told.ttl,
    age: told.age,
    created: told.created,
    marker: told.marker,
    claimId: told.claim_id,
    claimCount: told.claim_count,
    deadLetter: dead && { queue: dead.queue_name, id: dead.message_id },
  };
  return /** @type {any} */ (Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));
}

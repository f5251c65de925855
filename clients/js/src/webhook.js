/**
 * For receivers of webhooks: whether it was the gateway that sent a request.
 *
 * Runs wherever there is Web Crypto: Node, Deno, Bun, edge runtimes. Needs nothing else of this package.
 *
 * @module zaqar-gateway/webhook
 */

/** The header that holds the signature: `t=<Unix time>,v1=<hex>`, with several `v1` while keys change. */
export const SIGNATURE_HEADER = "X-Zaqar-Signature";

/** Signatures that are looked at in one header. */
const MOST = 16;

/** The request is not to be trusted: its signature is missing, wrong or too old. The message says which. */
export class SignatureInvalid extends Error {
  /** @override */
  name = "SignatureInvalid";
}

/**
 * Resolves if the gateway has sent this request, for this subscription, just now. Compares in constant time.
 *
 * @param {string | null | undefined | { get(name: string): string | null | undefined }
 *   | { readonly [name: string]: string | string[] | undefined }} signature the value of `SIGNATURE_HEADER`, or
 *   all headers of the request: `request.headers` of Node as well as of fetch
 * @param {string | ArrayBuffer | ArrayBufferView} body of the request, exactly as it came: before it is parsed
 * @param {string | readonly string[]} secret `signature_secret` of the subscription; or several, any will do
 * @param {{ tolerance?: number, now?: number }} [options] `tolerance`: seconds that the request may be old, or
 *   ahead of this machine's clock (300); `now`: seconds since the epoch (this machine's clock)
 * @returns {Promise<void>}
 * @throws {SignatureInvalid} it is not, or cannot be known to be
 */
export async function verifyWebhook(signature, body, secret, { tolerance = 300, now } = {}) {
  const { times, signatures } = read(typeof signature === "string" ? signature : found(signature));
  const time = times[0];
  if (time === undefined || times.length > 1 || signatures.length === 0) {
    throw new SignatureInvalid(`${SIGNATURE_HEADER} has not the form of a signature`);
  }
  const signed = joined(new TextEncoder().encode(`${time}.`), bytes(body));
  const secrets = typeof secret === "string" ? [secret] : secret;
  // Of whoever reads one that is not set: anybody can sign with an empty one, or with "undefined".
  if (!Array.isArray(secrets) || !secrets.every((each) => typeof each === "string" && each !== "")) {
    throw new SignatureInvalid(`${SIGNATURE_HEADER} cannot be verified: a secret is empty or no string`);
  }
  let good = false;
  for (const each of secrets) {
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(each),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    );
    // All of them, so that the time taken does not tell which.
    for (const one of signatures) {
      good = (await crypto.subtle.verify("HMAC", key, one, signed)) || good;
    }
  }
  if (!good) {
    throw new SignatureInvalid(`${SIGNATURE_HEADER} was not made with this secret over this body`);
  }
  // In this way round a tolerance that is no number admits nothing.
  if (!(Math.abs((now ?? Date.now() / 1000) - Number(time)) <= tolerance)) {
    throw new SignatureInvalid(`${SIGNATURE_HEADER} was made too long ago, or the clocks differ`);
  }
}

/**
 * @param {any} headers
 * @returns {string}
 */
function found(headers) {
  let value;
  if (typeof headers?.get === "function") {
    value = headers.get(SIGNATURE_HEADER);
  } else {
    const wanted = SIGNATURE_HEADER.toLowerCase();
    const names = Object.keys(headers ?? {}).filter((name) => name.toLowerCase() === wanted);
    value = names.length === 1 ? headers[/** @type {string} */ (names[0])] : undefined;
  }
  if (typeof value !== "string") {
    throw new SignatureInvalid(`${SIGNATURE_HEADER} is missing, or there is more than one`);
  }
  return value;
}

/**
 * @param {string} header
 * @returns {{ times: string[], signatures: Uint8Array<ArrayBuffer>[] }}
 */
function read(header) {
  /** @type {string[]} */
  const times = [];
  const signatures = [];
  for (const item of header.split(",").slice(0, MOST + 1)) {
    const [name, value = ""] = item.trim().split("=", 2);
    if (name === "t" && /^[0-9]{1,15}$/.test(value)) {
      times.push(value);
    } else if (name === "v1" && /^[0-9a-f]{64}$/.test(value)) {
      signatures.push(Uint8Array.from(value.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
    }
  }
  return { times, signatures };
}

/**
 * @param {string | ArrayBuffer | ArrayBufferView} body
 * @returns {Uint8Array}
 */
function bytes(body) {
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return new Uint8Array(body);
}

/**
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 * @returns {Uint8Array<ArrayBuffer>}
 */
function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { SIGNATURE_HEADER, SignatureInvalid, verifyWebhook } from "../src/webhook.js";

const BODY = '{"body": "café"}';
const NOW = { now: 1_000_000 };
const sign = (time, ...secrets) =>
  [`t=${time}`, ...secrets.map((key) => `v1=${createHmac("sha256", key).update(`${time}.${BODY}`).digest("hex")}`)].join();
const SIGNATURE = sign(1_000_000, "secret");
const refused = (...given) => assert.rejects(verifyWebhook(...given), SignatureInvalid);

test("what the gateway sends is trusted, however headers and body come", async () => {
  const bytes = new TextEncoder().encode(BODY);
  const headers = [
    SIGNATURE, sign(1_000_000, "newer", "secret"), `${SIGNATURE},v2=later`, SIGNATURE.replaceAll(",", ", "),
    new Headers({ [SIGNATURE_HEADER]: SIGNATURE }), { "x-zaqar-signature": SIGNATURE, other: "x" },
  ];
  for (const signature of headers) {
    for (const body of [BODY, bytes, bytes.buffer, Buffer.from(BODY)]) {
      await verifyWebhook(signature, body, "secret", NOW);
      await verifyWebhook(signature, body, ["another", "secret"], NOW);
    }
  }
});

test("what it did not send is not", async () => {
  await refused(SIGNATURE, `${BODY} `, "secret", NOW);
  await refused(SIGNATURE, BODY, "another", NOW);
  await refused(SIGNATURE, BODY, [], NOW);
  const headers = [
    "", "t=1", "nonsense", "t=1000000,v1=é", null, undefined, {}, new Headers(), SIGNATURE.slice(0, -1),
    SIGNATURE.replace("t=1000000", "t=1000001"), `${SIGNATURE},t=1000000`, SIGNATURE.split(",")[1],
    `t=1000000,v1=${"0".repeat(64)}`, { "x-zaqar-signature": [SIGNATURE, SIGNATURE] },
    { "x-zaqar-signature": SIGNATURE, "X-Zaqar-Signature": SIGNATURE },
  ];
  for (const signature of headers) await refused(signature, BODY, "secret", NOW);
});

test("a secret that is not set verifies nothing", async () => {
  for (const secret of ["", undefined, null, [""], ["secret", undefined], ["secret", null]]) {
    await refused(SIGNATURE, BODY, secret, NOW);
    await refused(sign(1_000_000, "null"), BODY, secret, NOW);
  }
});

test("what is too old or too new is not", async () => {
  for (const now of [999_699, 1_000_301]) {
    await refused(SIGNATURE, BODY, "secret", { now });
    await verifyWebhook(SIGNATURE, BODY, "secret", { now, tolerance: 400 });
  }
  await refused(SIGNATURE, BODY, "secret");
  for (const tolerance of [NaN, "five minutes"]) await refused(SIGNATURE, BODY, "secret", { ...NOW, tolerance });
});

// Is compiled and not run: an application in TypeScript, against the types that the package brings.
import { connect, ReplyError, TimeoutError, webStorage } from "zaqar-gateway";
import type { Gateway, Subscription } from "zaqar-gateway";
import { msgpack } from "zaqar-gateway/msgpack";
import { SignatureInvalid, verifyWebhook } from "zaqar-gateway/webhook";

const gateway: Gateway = connect({
  url: "ws://127.0.0.1:9000/",
  project: "demo",
  getToken: async () => "token",
  codec: msgpack,
  storage: webStorage(localStorage),
});
gateway.on("state", ({ state, delay }) => console.log(state === "waiting", delay?.toFixed()));
// @ts-expect-error: there is no such event
gateway.on("stat", () => {});

const subscription: Subscription = gateway.subscribe("news", { from: "earliest" });
subscription.on("gap", ({ from, reason }) => console.log(from?.length, reason));
for await (const { body, marker } of subscription) console.log(body, marker?.length);

const consumer = gateway.consume("jobs", async (job, { signal }) => console.log(job.id, signal.aborted), { ttl: 60 });
await consumer.stop({ timeout: 1_000 });
try {
  const id: string = await gateway.queue("q").post({ a: 1 }, { signal: AbortSignal.timeout(1_000) });
  const claim = await gateway.queue("q").claim({ limit: 5 });
  if (claim) for (const message of claim.messages) await claim.acknowledge(message);
  console.log(id);
} catch (error) {
  if (error instanceof ReplyError) console.log(error.status, error.code, error.retryable);
  if (error instanceof TimeoutError) console.log(error.sent);
}

const request = new Request("http://127.0.0.1/");
try {
  await verifyWebhook(request.headers, await request.arrayBuffer(), ["secret"], { tolerance: 60 });
  const fromNode: { [name: string]: string | string[] | undefined } = { host: "x" };
  await verifyWebhook(fromNode, "body", "secret");
  // @ts-expect-error: the secret is missing
  await verifyWebhook(request.headers.get("X-Zaqar-Signature"), new Uint8Array());
} catch (error) {
  if (error instanceof SignatureInvalid) console.log(error.message);
}

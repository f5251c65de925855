// Posts, a subscription and two consumers through a proxy that breaks connections at random. It is the same in Node
// and in a browser, and tells what happened; who calls it judges that.
import { connect } from "../../src/index.js";

/** Milliseconds; short, because the proxy breaks connections far more often than the world does. */
const IMPATIENT = {
  pingInterval: 300,
  replyTimeout: 700,
  openTimeout: 1_000,
  reconnect: { min: 10, max: 200 },
};

/** Posts that wait for their answers, at most. */
const MOST_WAITING = 400;

/** Milliseconds that everything has to arrive after the last post. */
const PATIENCE = 30_000;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Handles jobs on two connections, and sees when a message is leased to both at the same time. */
class Workers {
  /** How often each job was handled. */
  handled = new Map();
  leasedTwice = [];
  lost = 0;
  #running = new Map();

  constructor(gateways) {
    this.consumers = gateways.map((gateway, worker) => {
      // As long as a worker is connected its leases live, and nobody else may be given them.
      let connection = 0;
      gateway.on("state", () => (connection += 1));
      const now = () => `${connection} ${gateway.state}`;
      const consumer = gateway.consume("jobs", (job) => this.#handle(worker, job, now), { concurrency: 5, ttl: 60 });
      consumer.on("lost", () => (this.lost += 1));
      return consumer;
    });
  }

  async #handle(worker, { id, body }, now) {
    const others = this.#running.get(id) ?? new Set();
    this.#running.set(id, others);
    for (const other of others) {
      if (other.worker === worker || other.since === other.now()) this.leasedTwice.push(body);
    }
    const run = { worker, since: now(), now };
    others.add(run);
    await sleep(Math.random() * 20);
    others.delete(run);
    this.handled.set(body, (this.handled.get(body) ?? 0) + 1);
  }
}

/**
 * @param {{url: string, messages: number, pace: number, WebSocket?: unknown, codec?: unknown}} options
 *   `pace`: milliseconds between posts
 */
export async function chaos({ url, messages, pace, WebSocket, codec }) {
  const project = `chaos-${Math.random()}`;
  const errors = [];
  let connections = 0;
  const [poster, reader, ...workers] = Array.from({ length: 4 }, () => {
    const gateway = connect({ url, project, WebSocket, codec, ...IMPATIENT });
    gateway.on("error", (error) => errors.push(String(error)));
    gateway.on("state", ({ state }) => (connections += state === "connected"));
    return gateway;
  });
  const subscription = reader.subscribe("feed");
  const gaps = [];
  subscription.on("gap", (gap) => gaps.push(gap));
  await subscription.subscribed({ timeout: 30_000 });
  const work = new Workers(workers);

  const received = [];
  const reading = (async () => {
    for await (const { body } of subscription) if (received.push(body) === messages) return;
  })();
  const ids = [];
  let waiting = 0;
  const posts = [];
  for (let n = 0; n < messages; n += 1) {
    while (waiting >= MOST_WAITING) await sleep(pace);
    waiting += 2;
    for (const queue of ["feed", "jobs"]) {
      posts.push(poster.queue(queue).post(n).then((id) => ids.push(id)).finally(() => (waiting -= 1)));
    }
    await sleep(pace);
  }
  // What has not come by then is missing, and the report says so.
  const deadline = sleep(PATIENCE).then(() => "late");
  await Promise.race([Promise.all([...posts, reading]), deadline]);
  while (work.handled.size < messages && (await Promise.race([sleep(50), deadline])) !== "late");
  await Promise.all(work.consumers.map((consumer) => consumer.stop({ timeout: 30_000 })));
  const limits = { timeout: 30_000 };
  const report = {
    received: received.length,
    outOfOrder: received.filter((body, n) => body !== n).length,
    ids: new Set(ids).size,
    stored: (await poster.queue("feed").stats(limits)).total,
    left: (await poster.queue("jobs").stats(limits)).total,
    handled: work.handled.size,
    handledAgain: [...work.handled.values()].reduce((sum, times) => sum + times - 1, 0),
    lost: work.lost,
    leasedTwice: work.leasedTwice,
    connections,
    gaps,
    errors,
  };
  for (const gateway of [poster, reader, ...workers]) gateway.close();
  return report;
}

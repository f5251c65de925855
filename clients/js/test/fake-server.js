// A WebSocket without a network, and the server behind it: tests decide what it answers, and when.

/** Lets everything run that waits for promises only. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeServer {
  /** Sockets in the order in which they were opened. */
  sockets = [];
  /** Whether sockets open by themselves, and with which subprotocol. */
  opens = true;
  protocol = "zaqar-gateway.v1";
  /** Whether requests are answered by themselves. */
  answers = true;
  /** What is answered to an action: `{status, body}`, or a function that makes it; null: nothing. */
  replies = {
    authenticate: { status: 200, body: { message: "Authentified." } },
    describe: { status: 200, body: { limits: { dedup_window: 600, max_messages_per_post: 1000 } } },
    ping_node: { status: 204, body: {} },
    message_post: ({ body }) => ({ status: 201, body: { message_ids: body.messages.map(() => `m-${++this.posted}`) } }),
    subscription_create: ({ body: { from } }) => {
      const marker = /^\d+$/.test(from) ? from : "100";
      return { status: 201, body: { subscription_id: "s-1", marker, recovered: true, gap: null } };
    },
    subscription_delete: { status: 204, body: "" },
    claim_subscribe: ({ body }) => ({ status: 201, body: { claim_id: body.claim_id, held: 0 } }),
  };
  posted = 0;

  constructor() {
    const server = this;
    this.WebSocket = class {
      protocol = "";
      constructor(url, protocols) {
        Object.assign(this, { url, protocols });
        server.sockets.push(new FakeSocket(server, this));
        if (server.opens) queueMicrotask(() => server.socket.open());
      }
      send(frame) {
        server.sockets.find(({ client }) => client === this).receive(JSON.parse(frame));
      }
      close() {
        server.sockets.find(({ client }) => client === this).left = true;
      }
    };
  }

  /** The newest socket. */
  get socket() {
    return this.sockets.at(-1);
  }

  /** All requests of an action, of all sockets. */
  requests(action) {
    return this.sockets.flatMap(({ requests }) => requests).filter((request) => request.action === action);
  }
}

export class FakeSocket {
  requests = [];
  /** Whether the client has closed it. */
  left = false;

  constructor(server, client) {
    this.server = server;
    this.client = client;
  }

  open() {
    this.client.protocol = this.server.protocol;
    this.client.onopen?.();
  }

  receive(request) {
    this.requests.push(request);
    if (!this.server.answers) return;
    const { replies } = this.server;
    const made = request.action in replies ? replies[request.action] : { status: 200, body: {} };
    const reply = typeof made === "function" ? made(request) : made;
    if (reply) queueMicrotask(() => this.reply(request, reply));
  }

  reply(request, { status, body }) {
    const extended = this.client.protocol !== "";
    this.push({ ...(extended ? { id: request.id } : { request }), body, headers: { status } });
  }

  push(frame) {
    this.client.onmessage?.({ data: JSON.stringify(frame) });
  }

  notify(queue, marker, body) {
    this.push({
      Message_Type: "Notification",
      queue_name: queue,
      body,
      ttl: 3600,
      message_id: `m-${marker}`,
      marker: String(marker),
      created: "2026-01-01T00:00:00Z",
    });
  }

  close(code = 1006, reason = "") {
    this.client.onclose?.({ code, reason });
  }
}

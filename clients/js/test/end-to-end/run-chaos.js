// The chaos in Node: node run-chaos.js '{"url": …, "messages": …, "pace": …, "codec": "json" | "msgpack"}'
import { WebSocket } from "ws";

import { msgpack } from "../../src/msgpack.js";
import { chaos } from "./chaos.js";

const { codec, ...options } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(await chaos({ ...options, WebSocket, codec: codec === "msgpack" ? msgpack : undefined })));
// `ws` waits half a minute for the goodbye of a socket whose other side has vanished.
process.exit();

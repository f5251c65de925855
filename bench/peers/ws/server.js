// Sends what a socket on /publish says to every socket on /subscribe: node server.js PORT
const { WebSocketServer } = require("ws");

const subscribers = new Set();
const server = new WebSocketServer({
  host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096, perMessageDeflate: false,
});
server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  if (request.url === "/subscribe") {
    subscribers.add(socket);
    socket.on("close", () => subscribers.delete(socket));
  } else {
    socket.on("message", (data) => {
      for (const subscriber of subscribers) subscriber.send(data, { binary: false });
    });
  }
});

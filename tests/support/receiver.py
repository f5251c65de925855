"""An HTTP server that receives what webhooks are sent, and answers as the test says.

::

    with receiving() as receiver:
        receiver.answer = lambda received: 500 if received.number == 1 else 200
        ...
        receiver.wait_for(2)
        assert receiver.bodies() == ["first", "first"]
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request. `number` counts from 1, `connection` the connections; header names are in lower case."""

    number: int
    connection: int
    path: str
    headers: Mapping[str, str]
    data: bytes

    @property
    def body(self) -> Any:
        """The body of the message that it tells."""
        return json.loads(self.data)["body"]


Answer = int | Callable[[socket.socket], None]
"""A status; or what is done on the connection, which is closed then."""


class Receiver:
    """A running receiver. `answer` may be changed at any time."""

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer] = lambda _: 204
        self.most_at_once = 0
        """How many requests were under way at the same time, at the most."""
        self._under_way = 0
        self._connections = 0
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with receiver._changed:
                    receiver._connections += 1
                    self.number = receiver._connections
                    receiver._open.add(self.connection)

            def finish(self) -> None:
                super().finish()
                receiver._open.discard(self.connection)

            def do_POST(self) -> None:
                receiver._receive(self, self.number)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Whoever hangs up is no fault of this server."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'' if context is None else 's'}://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and hang up."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def bodies(self, path: str | None = None) -> list[Any]:
        """The bodies of the messages so far, in the order in which they came; those sent to a path."""
        with self._changed:
            return [each.body for each in self.received if path in (None, each.path)]

    def wait_for(self, count: int, timeout: float = 30.0, path: str | None = None) -> list[Received]:
        """Wait until so many requests have come (to a path), and return all that have."""

        def found() -> list[Received]:
            return [each for each in self.received if path in (None, each.path)]

        with self._changed:
            done = self._changed.wait_for(lambda: len(found()) >= count, timeout)
            assert done, f"{len(found())} of {count} requests came: {found()[-5:]}"
            return found()

    def _receive(self, handler: Any, connection: int) -> None:
        data = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._changed:
            received = Received(len(self.received) + 1, connection, handler.path, headers, data)
            self.received.append(received)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            self._changed.notify_all()
        try:
            answer = self.answer(received)
        finally:
            with self._changed:
                self._under_way -= 1
        if isinstance(answer, int):
            handler.send_response(answer)
            if 300 <= answer < 400:
                handler.send_header("Location", self.url + "elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.close_connection = True
        with suppress(OSError):
            answer(handler.connection)
            handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def receiving(port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on a port of 127.0.0.1, a free one if none is given."""
    receiver = Receiver(port, context)
    try:
        yield receiver
    finally:
        receiver.close()


def saying(data: bytes) -> Callable[[socket.socket], None]:
    """Say these bytes, and hang up."""
    return lambda connection: connection.sendall(data)


def silent(connection: socket.socket) -> None:
    """Say nothing until the other side gives up."""
    connection.settimeout(60)
    connection.recv(1)


def endless(beginning: bytes, part: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    """Say something without an end, until the other side gives up."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return answer

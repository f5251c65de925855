"""Zaqar's REST API, as the load speaks it to the gateway and to upstream (protocol.md section 8)."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self

from bench.native_program import LoadError
from bench.peers.peer import BODY
from bench.peers.zaqar_frames import HEADERS, TIMEOUT


def posts(messages: int) -> bytes:
    """The body of a request that posts so many messages."""
    document = {"messages": [{"ttl": 3600, "body": BODY}] * messages}
    return json.dumps(document, separators=(",", ":")).encode()


def post() -> list[str]:
    """Options of the load: connections that stay open, on which messages are posted one by one."""
    headers = {
        **HEADERS,
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    body = posts(1).decode()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST /v2/queues/posts/messages HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
    return ["--http", "--request", request, "--reply", '"resources"']


class Rest:
    """One connection to a server on loopback. Its methods raise `LoadError` if it refuses."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def subscribe(self, queue: str, subscriber: str) -> None:
        """Subscribe a URL to a queue."""
        document = json.dumps({"subscriber": subscriber, "ttl": 3600, "options": {}}).encode()
        self._request("POST", f"/v2/queues/{queue}/subscriptions", document)

    def post(self, queue: str, messages: int) -> None:
        """Post so many messages."""
        self._request("POST", f"/v2/queues/{queue}/messages", posts(messages))

    def create_queue(self, queue: str) -> None:
        """Make a queue."""
        self._request("PUT", f"/v2/queues/{queue}", b"{}")

    def delete_queue(self, queue: str) -> None:
        """Remove a queue."""
        self._request("DELETE", f"/v2/queues/{queue}", b"")

    def _request(self, method: str, path: str, body: bytes) -> None:
        try:
            self._connection.request(method, path, body, {**HEADERS, "Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise LoadError(f"{method} {path}: {error}") from error
        if response.status >= 300:
            raise LoadError(f"{method} {path}: {response.status} {answer[:200]!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

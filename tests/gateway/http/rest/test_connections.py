"""Many requests on one connection: in their order, whole, and until it is to end."""

from __future__ import annotations

import http.client
import io
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.support.gateway import Gateway
from tests.support.rest import Rest

MESSAGES = "/v2/queues/q/messages"


class Whole(io.BytesIO):
    """What came over a connection, as http.client reads it: answer after answer."""

    def makefile(self, *_: Any, **__: Any) -> Whole:
        """The same, which one answer shall not close for the next."""
        return self

    def close(self) -> None:
        """Stay open."""


def exchange(gateway: Gateway, sent: bytes) -> bytes:
    """Send at once, and read until the gateway ends the connection."""
    parts = urlsplit(gateway.http_url)
    assert parts.hostname
    # A connection that does not end by itself is cut some ten seconds later.
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=8) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


def test_requests_that_come_together_are_answered_in_their_order(gateway: Gateway, rest: Rest) -> None:
    body = "x" * 200_000
    for number in range(10):
        rest.done("POST", MESSAGES, {"messages": [{"body": [number, body]}]})
    head = "".join(f"{name}: {value}\r\n" for name, value in rest.headers.items())
    asked = [f"{MESSAGES}?echo=true&limit={number}" for number in (10, 1, 5, 10)]
    lines = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n" for path in asked]
    last = f"GET /v2/queues HTTP/1.1\r\nHost: localhost\r\n{head}Connection: close\r\n\r\n"
    received: Any = Whole(exchange(gateway, "".join([*lines, last]).encode()))
    for path in asked:
        answer = http.client.HTTPResponse(received)
        answer.begin()
        shown = json.loads(answer.read())["messages"]
        assert [each["body"] for each in shown] == [
            [number, body] for number in range(int(path.rpartition("=")[2]))
        ]
    answer = http.client.HTTPResponse(received)
    answer.begin()
    assert [queue["name"] for queue in json.loads(answer.read())["queues"]] == ["q"]
    assert received.read() == b""


def test_a_connection_ends_behind_the_answer_if_it_is_to(gateway: Gateway, rest: Rest) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in rest.headers.items())
    last = f"GET /v2/queues HTTP/1.1\r\nHost: localhost\r\n{head}Connection: close\r\n\r\n"
    assert json.loads(exchange(gateway, last.encode()).partition(b"\r\n\r\n")[2])["queues"] == []

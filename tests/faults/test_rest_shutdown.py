"""The end of the program while requests over REST are under way: all are answered, the last told so."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import Gateway, processes_in, start_gateway
from tests.support.raw import Ended, RawSocket
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.servers import Server, start_redis

MESSAGES = "/v2/queues/q/messages"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    """A store that outlives the gateway."""
    with start_redis(tmp_path / "store") as store:
        yield store


@pytest.fixture
def gateway(tmp_path: Path, store: Server) -> Iterator[Gateway]:
    """A gateway of the test's own."""
    gateway = start_gateway(tmp_path / "data", "--redis-url", store.url)
    yield gateway
    gateway.close()


def refuses_connections(gateway: Gateway) -> bool:
    """Whether the port takes no connection any more."""
    parts = urlsplit(gateway.http_url)
    try:
        socket.create_connection((str(parts.hostname), parts.port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def ended(gateway: Gateway) -> None:
    """It ends with 0, and without an error."""
    assert gateway.wait(30) == 0, "\n".join(gateway.log_lines)
    assert not processes_in(gateway.data_dir)
    assert not [event for event in gateway.events if event["level"] == "error"], gateway.log_lines


def head_of(raw: RawSocket, length: int) -> bytes:
    """The head of a post with a body of so many bytes."""
    return (
        f"POST {MESSAGES} HTTP/1.1\r\nHost: {raw.host}\r\nContent-Length: {length}\r\nX-Project-ID: p\r\n"
        "Client-ID: 11111111-1111-4111-8111-111111111111\r\n\r\n"
    ).encode()


def test_requests_under_way_are_answered_and_connections_closed(gateway: Gateway, store: Server) -> None:
    body = json.dumps({"messages": [{"body": "in flight"}]}).encode()
    with ExitStack() as stack:
        idle, working, sending, late = [
            stack.enter_context(RawSocket(gateway.http_url, handshake=False)) for _ in range(4)
        ]
        for raw in (idle, working, sending, late):
            raw.send(f"GET /healthz HTTP/1.1\r\nHost: {raw.host}\r\n\r\n".encode())
            assert raw.receive_head().startswith(b"HTTP/1.1 200 ")
            raw.receive_bytes(len(b'{"status": "ok"}\n'))
        os.kill(store.pid, signal.SIGSTOP)
        try:
            working.send(head_of(working, len(body)) + body)
            sending.send(head_of(sending, len(body)) + body[:5])
            # Its answer comes when both of them have been read.
            late.send(f"GET /healthz HTTP/1.1\r\nHost: {late.host}\r\n\r\n".encode())
            late.receive_head()
            late.receive_bytes(len(b'{"status": "ok"}\n'))
            os.kill(gateway.pid, signal.SIGTERM)
            late.send(head_of(late, len(body)) + body)  # sent before it could know
            wait_until(lambda: refuses_connections(gateway))
            with pytest.raises(Ended) as end:
                idle.receive_head()
            assert end.value.clean
            sending.send(body[5:])
        finally:
            os.kill(store.pid, signal.SIGCONT)
        for raw in (working, sending, late):
            head = raw.receive_head()
            assert head.startswith(b"HTTP/1.1 201 ")
            assert b"connection: close" in head.lower()
            assert b'"resources"' in raw.receive_rest()
    ended(gateway)


def test_no_request_is_lost_without_an_answer(gateway: Gateway) -> None:
    """Each client posts until the last answer says that it is; what it has then is in the store."""
    stored: list[int] = []
    lost: list[str] = []

    def post_on() -> None:
        with Rest(gateway.http_url, project="p") as rest:
            for _ in range(100_000):
                try:
                    answer = rest.ask("POST", MESSAGES, {"messages": [{"body": 1}]})
                except (HTTPException, OSError) as error:
                    lost.append(repr(error))
                    return
                stored.append(answer.status)
                if answer.headers.get("connection") == "close":
                    return

    posting = [threading.Thread(target=post_on) for _ in range(5)]
    for each in posting:
        each.start()
    wait_until(lambda: len(stored) > 50)
    os.kill(gateway.pid, signal.SIGTERM)
    for each in posting:
        each.join(30)
    assert lost == []
    assert set(stored) == {201}
    ended(gateway)

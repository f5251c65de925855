"""Connections of plain HTTP: how many there may be, and how long a request may take to arrive."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gateway.http.access import Access
from gateway.http.connections import Connections
from gateway.metrics import Metrics
from gateway.settings import Settings
from tests.support.gateway import Gateway, starting
from tests.support.metrics import value
from tests.support.raw import RawSocket, split_response
from tests.support.reactor import eventually, reactor, run, wait_until
from tests.support.rest import Rest
from tests.support.tokens import Issuer

Start = Callable[..., Gateway]

MESSAGES = "/v2/queues/q/messages"


class Held:
    """A connection from an address."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.ended = self.dropped = False

    def end(self) -> None:
        self.ended = True

    def drop(self) -> None:
        self.dropped = True


def limited(folder: Path, share: int = 1, **chosen: Any) -> Connections:
    settings = Settings(data_dir=folder, **{"max_http_connections": 0, **chosen})
    return Connections(None, settings, Access(settings).is_proxy, Metrics(), share)


def refusals(connections: Connections, *addresses: str) -> list[str]:
    """The limit that each address in turn meets; empty where it was let in."""
    found = []
    for address in addresses:
        refused = connections.refusal(address)
        if refused is None:
            connections.add(Held(address))
        found.append("" if refused is None else refused.limit)
    return found


def test_connections_in_all(tmp_path: Path) -> None:
    connections = limited(tmp_path, max_http_connections=2)
    assert refusals(connections, "10.0.0.1", "10.0.0.2", "10.0.0.3") == ["", "", "max_http_connections"]


def test_connections_of_an_address(tmp_path: Path) -> None:
    connections = limited(tmp_path, max_http_connections_per_address=1)
    limit = "max_http_connections_per_address"
    assert refusals(connections, "10.0.0.1", "10.0.0.1", "10.0.0.2") == ["", limit, ""]
    assert refusals(connections, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1") == ["", limit, ""]


def test_who_leaves_makes_room(tmp_path: Path) -> None:
    connections = limited(tmp_path, max_http_connections=2, max_http_connections_per_address=1)
    first = Held("10.0.0.1")
    connections.add(first)
    assert refusals(connections, "10.0.0.1", "10.0.0.2", "10.0.0.3")[::2] == [
        "max_http_connections_per_address",
        "max_http_connections",
    ]
    connections.remove(first)
    assert refusals(connections, "10.0.0.1") == [""]


def test_connections_of_a_trusted_proxy_count_for_the_node_alone(tmp_path: Path) -> None:
    chosen = {"max_http_connections": 3, "max_http_connections_per_address": 1}
    connections = limited(tmp_path, trusted_proxies=("10.0.0.0/8",), **chosen)
    assert refusals(connections, *["10.0.0.1"] * 4) == ["", "", "", "max_http_connections"]


def test_processes_share_the_limits(tmp_path: Path) -> None:
    connections = limited(tmp_path, 4, max_http_connections=9, max_http_connections_per_address=6)
    limit = "max_http_connections_per_address"
    told = refusals(connections, "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert told == ["", "", limit, "", "max_http_connections"]


def test_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = Settings(data_dir=tmp_path)
        connections = Connections(reactor, settings, lambda peer: False, Metrics())
        await connections.drain()  # there are none
        idle, working = Held("10.0.0.1"), Held("10.0.0.1")
        for each in (idle, working):
            connections.add(each)
        draining = Deferred.fromCoroutine(connections.drain())
        await eventually(lambda: idle.ended and working.ended)
        connections.remove(idle)
        assert not draining.called
        connections.drop()
        assert working.dropped
        assert not idle.dropped
        connections.remove(working)
        await draining

    run(scenario)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with further arguments; stopped at the end."""
    with starting(tmp_path / "data") as start:
        yield start


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [
        ("max_http_connections", 503, b"The gateway has as many HTTP connections as it may."),
        ("max_http_connections_per_address", 429, b"Your address has as many HTTP connections as it may."),
    ],
)
def test_one_connection_too_many(start: Start, limit: str, status: int, words: bytes) -> None:
    gateway = start("--" + limit.replace("_", "-"), "2")

    def told() -> tuple[int, bytes]:
        with RawSocket(gateway.http_url, handshake=False) as raw:
            raw.send(f"GET /healthz HTTP/1.1\r\nHost: {raw.host}\r\nConnection: close\r\n\r\n".encode())
            status, headers, body = split_response(raw.receive_rest())
            assert headers["connection"] == "close"
            return status, body

    with Rest(gateway.http_url) as first, Rest(gateway.http_url) as second:
        for each in (first, second):
            each.done("GET", "/v2/ping")
        for _ in range(3):
            found = told()
            assert found[0] == status
            assert found[1].startswith(words)
        first.done("GET", "/v2/ping")  # those that are in go on
        second.connection.close()
        wait_until(lambda: told()[0] == 200)
        assert value(gateway, "refused_total", limit=limit) >= 3
        assert value(gateway, "http_connections") == 2  # the one that asks is one of them


@pytest.mark.parametrize(
    "sent",
    [
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n",
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{}}",
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n",
        "GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\nGET {path} HTTP/1.1\r\nHost",
        "GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\nG",
    ],
    ids=["no-body", "half-a-body", "half-of-chunks", "half-a-head", "a-letter"],
)
def test_a_request_that_does_not_arrive_ends_the_connection(start: Start, sent: str) -> None:
    gateway = start("--handshake-timeout", "1.5")
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(sent.format(path=MESSAGES, host=raw.host).encode())
        told = raw.receive_rest().rpartition(b"HTTP/1.1 ")[2]
        assert told.startswith(b"408 Request Timeout\r\n")
        assert told.endswith(b"The request did not arrive within 1.5 seconds.\n")
    wait_until(lambda: value(gateway, "http_connections") == 1)
    assert value(gateway, "refused_total", limit="handshake_timeout") == 1


def test_a_request_that_comes_by_the_byte_ends_the_connection(start: Start) -> None:
    gateway = start("--handshake-timeout", "1.5")
    with RawSocket(gateway.http_url, handshake=False, timeout=0.05) as raw:
        raw.send(f"POST {MESSAGES} HTTP/1.1\r\nHost: {raw.host}\r\nContent-Length: 100000\r\n\r\n".encode())

        def told() -> bool:
            raw.send(b" ")
            try:
                return raw.receive_head().startswith(b"HTTP/1.1 408 ")
            except TimeoutError:
                return False

        wait_until(told)


def test_a_connection_that_waits_between_requests_stays(start: Start) -> None:
    gateway = start("--handshake-timeout", "1.5")
    with Rest(gateway.http_url) as patient, RawSocket(gateway.http_url, handshake=False) as late:
        patient.done("PUT", "/v2/queues/q")
        kept = patient.connection.sock
        late.send(b"GET")
        assert late.receive_head().startswith(b"HTTP/1.1 408 ")  # so long for one, for the other nothing
        patient.done("POST", MESSAGES, {"messages": [{"body": 1}]})
        assert patient.connection.sock is kept


@pytest.mark.parametrize(
    "further", ["Content-Length: 20000", "Content-Length: 20000\r\nExpect: 100-continue"]
)
def test_a_large_body_without_authentication_is_refused_before_it_comes(
    tmp_path: Path, start: Start, further: str
) -> None:
    issuer = Issuer.new()
    gateway = start(*issuer.arguments(tmp_path))
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(f"POST {MESSAGES} HTTP/1.1\r\nHost: {raw.host}\r\n{further}\r\n\r\n".encode())
        head = raw.receive_head().decode()
        assert head.startswith("HTTP/1.1 413 ")
        assert "connection: close" in head.lower()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        told = json.loads(raw.receive_bytes(int(length[1])))
        assert told["code"] == "body_too_large"
        assert told["description"] == "The body of a request may have 16384 bytes without authentication."
        raw.send(b" " * 20_000)  # it is read, so that nobody is cut off before the answer
        assert raw.receive_rest() == b""
    assert value(gateway, "refused_total", limit="max_unauthenticated_frame_bytes") == 1


def test_chunks_without_authentication_are_refused_when_they_are_too_much(
    tmp_path: Path, start: Start
) -> None:
    gateway = start(*Issuer.new().arguments(tmp_path))
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(
            f"POST {MESSAGES} HTTP/1.1\r\nHost: {raw.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(2):
            raw.send(b"2000\r\n%b\r\n" % (b" " * 0x2000))
        raw.send(b"1\r\n \r\n")
        assert raw.receive_head().startswith(b"HTTP/1.1 413 ")


def test_a_token_takes_the_limit_away(tmp_path: Path, start: Start) -> None:
    issuer = Issuer.new()
    gateway = start(*issuer.arguments(tmp_path))
    large = {"messages": [{"body": "x" * 20_000}]}
    with Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as rest:
        rest.done("POST", MESSAGES, large)
    with Rest(gateway.http_url, project="p") as nobody:
        assert nobody.refused(413, "POST", MESSAGES, large) == "body_too_large"
        assert nobody.refused(401, "POST", MESSAGES, {"messages": [{"body": 1}]}) == "authentication_failed"

"""Clients that do not speak TLS, do not finish, do not read or do not close cost nothing but themselves."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gateway.tls import Certificate, TLSFactory
from tests.support.certificates import Authority
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.memory import Peak
from tests.support.raw import CLOSE, PING, PONG, Ended, RawSocket, http, split_response
from tests.support.raw_client import RawClient
from tests.support.reactor import wait_until


def hello() -> bytes:
    """What a TLS client says first."""
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


@pytest.fixture
def bystander(secure_gateway: Gateway, tls: ssl.SSLContext) -> Iterator[Client]:
    """A client whom what others do must not touch."""
    with Client(secure_gateway.url, tls=tls) as client:
        done(client.request("ping_node"), 204)
        yield client
        done(client.request("ping_node"), 204)


def ends(connection: socket.socket) -> bytes:
    """What comes until the gateway ends the connection, in a clean way or not."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


# --- beginning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begun", [b"", b"\x16", hello()[:100], hello()], ids=["nothing", "a byte", "half a hello", "a hello"]
)
@pytest.mark.usefixtures("bystander")
def test_who_does_not_finish_the_tls_handshake_is_dropped(secure_gateway: Gateway, begun: bytes) -> None:
    before = len(secure_gateway.log_lines)
    with RawSocket(secure_gateway.url, handshake=False) as raw:
        raw.send(begun)
        answer = ends(raw.socket)
    assert b"HTTP" not in answer
    said = [line for line in secure_gateway.log_lines[before:] if "connection_" not in line]
    assert not [line for line in said if "Traceback" in line or '"level": "error"' in line], said


@pytest.mark.usefixtures("bystander")
def test_who_does_not_finish_the_request_is_told_so(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    with RawSocket(secure_gateway.url, handshake=False, tls=tls) as raw:
        raw.send(b"GET / HTTP/1.1\r\n")
        status, _, body = split_response(raw.receive_rest())
    assert status == 408
    assert b"3 seconds" in body


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.usefixtures("bystander")
def test_who_does_not_speak_tls_is_told_so(secure_gateway: Gateway, upgrade: bool) -> None:
    with RawSocket(secure_gateway.url, handshake=False) as raw:
        raw.send(raw.upgrade_request() if upgrade else b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, _, body = split_response(raw.receive_rest())
    assert status == 400
    assert b"wss://" in body


@pytest.mark.usefixtures("bystander")
def test_a_failed_handshake_is_one_line_for_who_debugs(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    count = sum(event["event"] == "tls_handshake_failed" for event in secure_gateway.events)
    with RawSocket(secure_gateway.url, handshake=False) as raw:
        raw.send(b"\x16\x03\x01\x00\x05nonsense")
        ends(raw.socket)
    event = secure_gateway.wait_event("tls_handshake_failed", count=count + 1)
    assert (event["level"], event["peer"]) == ("debug", "127.0.0.1")
    assert event["reason"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(min_size=1, max_size=600), st.booleans())
@example(b"\x16\x03\x01\xff\xff" + b"\x00" * 100, False)
@example(b"\x15\x03\x01\x00\x02\x01\x00", False)
def test_any_bytes(secure_gateway: Gateway, bystander: Client, data: bytes, behind_hello: bool) -> None:
    with RawSocket(secure_gateway.url, handshake=False) as raw:
        raw.send(hello() + data if behind_hello else data)
        raw.end_sending()
        ends(raw.socket)
    assert done(bystander.request("ping_node"), 204) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(min_size=1, max_size=600))
def test_any_bytes_in_the_clear_on_an_open_socket(
    secure_gateway: Gateway, bystander: Client, tls: ssl.SSLContext, data: bytes
) -> None:
    with (
        RawSocket(secure_gateway.url, tls=tls) as raw,
        socket.socket(fileno=raw.socket.detach()) as plain,
    ):
        plain.settimeout(30)
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        ends(plain)
    assert done(bystander.request("ping_node"), 204) is not None


# --- the end --------------------------------------------------------------------------------------


def test_a_peer_that_never_closes_tls_is_not_waited_for(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    with RawSocket(secure_gateway.url, tls=tls) as raw:
        raw.send_frame(CLOSE, struct.pack(">H", 1000))
        assert raw.receive_close() == 1000
        # From here on it says nothing: no close alert, no end of its own.
        with socket.socket(fileno=raw.socket.detach()) as plain:
            plain.settimeout(30)
            ends(plain)


def test_a_stop_closes_sockets_with_1012(
    certificate: tuple[str, ...], tmp_path: Path, tls: ssl.SSLContext
) -> None:
    with (
        start_gateway(tmp_path / "data", *certificate) as gateway,
        RawClient(gateway.url, tls=tls) as polite,
        RawClient(gateway.url, tls=tls) as silent,
    ):
        gateway.terminate()
        assert polite.receive_close() == 1012
        polite.send_frame(CLOSE, struct.pack(">H", 1012))
        assert silent.receive_close() == 1012
        assert gateway.wait() == 0


def test_nothing_happens_to_a_connection_that_is_lost(authority: Authority, tmp_path: Path) -> None:
    factory = TLSFactory(Clock(), Certificate(*authority.issue(tmp_path)), Factory.forProtocol(Protocol))
    transport: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    transport.makeConnection(StringTransport())
    transport.connectionLost(Failure(ConnectionDone()))
    for use in (transport.abortConnection, transport.loseConnection, lambda: transport.write(b"late")):
        use()
    assert factory.reactor.getDelayedCalls() == []


# --- silence and slow readers ---------------------------------------------------------------------


def silent(gateway: Gateway) -> int:
    return sum(event["event"] == "connection_silent" for event in gateway.events)


def test_a_peer_that_is_gone_is_ended(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    count = silent(secure_gateway)
    with RawSocket(secure_gateway.url, tls=tls) as quiet:
        assert quiet.receive_frame().opcode == PING
        with pytest.raises(Ended):
            while True:
                quiet.receive_frame()
    secure_gateway.wait_event("connection_silent", count=count + 1)


def test_half_a_message_is_a_sign_of_life(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    """Also half a TLS record: the kernel knows of what came, whatever TLS makes of it."""
    with RawSocket(secure_gateway.url, tls=tls) as raw:
        here = ":".join(map(str, raw.socket.getsockname()))

        def opened() -> list[str]:
            events = [event for event in secure_gateway.events if event["event"] == "connection_opened"]
            return [event["connection"] for event in events if event["peer"].endswith(here)]

        wait_until(opened)
        with socket.socket(fileno=raw.socket.detach()) as plain:
            plain.sendall(b"\x17\x03\x03\x10\x00")
            for _ in range(20):  # 6 seconds
                plain.sendall(b"x")
                time.sleep(0.3)  # it is the time that passes which is tested here
    ended = [event["connection"] for event in secure_gateway.events if event["event"] == "connection_silent"]
    assert opened()[0] not in ended


def numbers(client: RawClient, count: int) -> list[int]:
    """What that many messages hold, of a client that answers pings when it comes to them."""
    found: list[int] = []
    while len(found) < count:
        frame = client.receive_frame()
        if frame.opcode == PING:
            client.send_frame(PONG, frame.payload)
        else:
            found.append(json.loads(frame.payload)["body"]["n"])
    return found


def test_a_slow_reader_costs_little_and_misses_nothing(
    certificate: tuple[str, ...], tmp_path: Path, tls: ssl.SSLContext
) -> None:
    count, pings = 20_000, ("--ping-interval", "1", "--ping-timeout", "2")
    with (
        start_gateway(tmp_path / "data", "--fsync", "everysec", *certificate, *pings) as gateway,
        RawClient(gateway.url, project="p", tls=tls) as slow,
        Client(gateway.url, project="p", tls=tls) as poster,
    ):
        assert slow.request("subscription_create", {"queue_name": "news"})["headers"]["status"] == 201
        # What its own kernel keeps for it, the gateway's takes for read: to read it must take little time.
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        peak = Peak(gateway.pid)
        for first in range(0, count, 100):
            bodies: list[Any] = [{"n": n, "pad": "x" * 1000} for n in range(first, first + 100)]
            post(poster, "news", *bodies, ttl=300)
        # One that is silent is found meanwhile, this one is not taken for that.
        for number in (1, 2):
            with RawSocket(gateway.url, tls=tls):
                gateway.wait_event("connection_silent", 30, count=number)
        assert peak.growth() < 40_000_000
        assert numbers(slow, count) == list(range(count))
        assert silent(gateway) == 2


def test_a_client_that_only_asks_is_not_read(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    """Back-pressure reaches the sender: what it is not answered it cannot send for ever."""
    with RawClient(secure_gateway.url, tls=tls) as greedy:
        posted = greedy.request("message_post", {"queue_name": "q", "messages": [{"body": "x" * 100_000}]})
        assert posted["headers"]["status"] == 201
        greedy.socket.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200_000:
                greedy.send_request("message_list", {"queue_name": "q", "echo": True})
                sent += 1
        greedy.socket.settimeout(30)
    assert http(secure_gateway.http_url, "/healthz", tls=tls)[0] == 200

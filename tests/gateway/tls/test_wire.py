"""Nothing leaves a TLS port but TLS records: no way out of the gateway goes past the transport."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from twisted.internet import tcp
from twisted.internet.testing import StringTransport

from gateway.tls import Certificate, TLSFactory, TLSTransport
from storage.sending import plain_send
from tests.support.certificates import Authority
from tests.support.client import Client
from tests.support.event_source import EventSource
from tests.support.expect import done, post
from tests.support.gateway import Gateway
from tests.support.proxy import Proxy
from tests.support.raw import CLOSE, PING, TEXT, RawSocket
from tests.support.raw_client import RawClient

MARKER = "in-the-clear"
"""Stands in all that is said, so that it would be seen."""

_HEADER = struct.Struct(">BHH")


def records(wire: bytes) -> list[tuple[int, bytes]]:
    """Type and content of the TLS records that a side has sent, nothing between (RFC 8446 section 5.1)."""
    found, position = [], 0
    while position < len(wire):
        kind, version, size = _HEADER.unpack_from(wire, position)
        assert kind in (20, 21, 22, 23), wire[position : position + 80]
        assert version in (0x0301, 0x0303)
        assert size <= 16_384 + 256
        position += _HEADER.size + size
        found.append((kind, wire[position - size : position]))
    assert position == len(wire)
    return found


class Tapped(RawClient):
    """A client behind a proxy that records what goes over the wire."""

    def __init__(self, gateway: Gateway, proxy: Proxy, tls: ssl.SSLContext) -> None:
        self._proxy = proxy
        self._tls = tls
        super().__init__(gateway.url, project="p")
        self.headers["X-Marker"] = MARKER

    def handshake(self) -> None:
        """Connect by the proxy instead, and become a WebSocket."""
        self.socket.close()
        self.socket = self._tls.wrap_socket(socket.socket(socket.AF_UNIX), server_hostname="localhost")
        self.socket.settimeout(self.timeout)
        self.socket.connect(str(self._proxy.path))
        super().handshake()


@pytest.fixture
def proxy(secure_gateway: Gateway, tmp_path: Path) -> Iterator[Proxy]:
    address = urlsplit(secure_gateway.url)
    with Proxy((cast(str, address.hostname), cast(int, address.port)), tmp_path / "tap.sock") as proxy:
        proxy.recorded = {}
        yield proxy


@pytest.fixture
def tapped(secure_gateway: Gateway, proxy: Proxy, tls: ssl.SSLContext) -> Iterator[Tapped]:
    with Tapped(secure_gateway, proxy, tls) as client:
        yield client


def sent(proxy: Proxy) -> bytes:
    """What the gateway has sent, which are records, without the marker."""
    assert proxy.recorded is not None
    wire = bytes(proxy.recorded["from store"])
    assert MARKER.encode() not in wire
    return b"".join(content for kind, content in records(wire) if kind == 23)


def test_replies_and_notifications(
    secure_gateway: Gateway, proxy: Proxy, tapped: Tapped, tls: ssl.SSLContext
) -> None:
    assert tapped.request("subscription_create", {"queue_name": "wire"})["headers"]["status"] == 201
    with Client(secure_gateway.url, project="p", tls=tls) as poster:
        post(poster, "wire", *(f"{MARKER} {number}" for number in range(50)))
    for number in range(50):
        assert tapped.receive_document()["body"] == f"{MARKER} {number}"
    # Many in one read, so that the replies leave together.
    for _ in range(20):
        tapped.send_request("message_list", {"queue_name": "wire", "echo": True, "limit": 20})
    received = sum(len(tapped.receive_message().payload) for _ in range(20))
    assert len(sent(proxy)) > received > 20_000


def test_more_than_the_wire_takes(secure_gateway: Gateway, proxy: Proxy, tapped: Tapped) -> None:
    assert tapped.request("message_post", {"queue_name": "big", "messages": [{"body": MARKER * 20_000}]})
    for _ in range(40):
        tapped.send_request("message_list", {"queue_name": "big", "echo": True})
    received = sum(len(tapped.receive_message().payload) for _ in range(40))
    assert len(sent(proxy)) > received > 40 * len(MARKER) * 20_000


def test_pings_pongs_and_the_end(secure_gateway: Gateway, proxy: Proxy, tapped: Tapped) -> None:
    assert tapped.receive_frame().opcode == PING
    tapped.send_frame(PING, MARKER.encode())
    frames = [tapped.receive_frame()]
    while frames[-1].payload != MARKER.encode():
        frames.append(tapped.receive_frame())
    tapped.send_frame(TEXT, b"not a request")
    assert b"Can't decode" in tapped.receive_message().payload
    tapped.send_frame(CLOSE, struct.pack(">H", 1000))
    assert tapped.receive_close() == 1000
    assert tapped.receive_rest() == b""
    sent(proxy)


def test_a_frame_against_the_rules(secure_gateway: Gateway, proxy: Proxy, tapped: Tapped) -> None:
    tapped.send_frame(TEXT, MARKER.encode(), masked=False)
    assert tapped.receive_close() == 1002
    sent(proxy)


@pytest.mark.parametrize("path", ["/", "/metrics", "/readyz", "/none"])
def test_plain_http_is_https(secure_gateway: Gateway, proxy: Proxy, tls: ssl.SSLContext, path: str) -> None:
    with tls.wrap_socket(socket.socket(socket.AF_UNIX), server_hostname="localhost") as connection:
        connection.settimeout(20)
        connection.connect(str(proxy.path))
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 ")
    assert len(sent(proxy)) > len(answer)


@pytest.mark.parametrize(("host", "status"), [("evil.example", 421), ("localhost", 101)])
def test_handshakes(secure_gateway: Gateway, tls: ssl.SSLContext, host: str, status: int) -> None:
    with RawSocket(secure_gateway.url, handshake=False, tls=tls) as raw:
        raw.send(raw.upgrade_request(Host=host))
        assert raw.receive_head().startswith(b"HTTP/1.1 %d " % status)


def test_direct_sends_are_for_plain_sockets_only(authority: Authority, tmp_path: Path) -> None:
    certificate = Certificate(*authority.issue(tmp_path))
    reactor: Any = None
    transport: Any = TLSTransport(TLSFactory(reactor, certificate, reactor), reactor)  # type: ignore[no-untyped-call]  # Twisted's
    assert plain_send(StringTransport()) is None
    plain = tcp.Server.__new__(tcp.Server)
    with socket.socket() as kernel:
        plain.socket = kernel
        assert plain_send(plain) == kernel.send
        transport.transport = plain
        assert plain_send(transport) is None
        plain.TLS = True  # as startTLS leaves it
        assert plain_send(plain) is None


def test_the_notification_url_is_https(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    with Client(secure_gateway.url, tls=tls) as client:
        done(client.request("subscription_create", {"queue_name": "q"}), 201)
        found = done(client.request("subscription_list", {"queue_name": "q"}), 200)
        (subscription,) = found["subscriptions"]
        assert subscription["subscriber"].startswith(f"{secure_gateway.http_url}/")
        assert json.dumps(found)


def test_an_event_stream(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    url = secure_gateway.http_url
    with Client(secure_gateway.url, tls=tls) as client:
        done(client.request("queue_create", {"queue_name": "streamed"}), 201)
        with EventSource(url, "/v2/queues/streamed/events", {"project": client.project}, tls=tls) as events:
            events.wait_comments(6)  # longer than a client that is gone would be kept
            post(client, "streamed", "first", "x" * 200_000)
            assert events.bodies(2) == ["first", "x" * 200_000]

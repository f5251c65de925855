"""The sockets of a gateway in this process, seen from inside."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import tcp

from gateway.service import Gateway
from gateway.settings import Settings
from gateway.websocket.protocol import SocketProtocol
from tests.support.client import Client
from tests.support.expect import done
from tests.support.raw import CLOSE, RawSocket
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server
from tests.support.tokens import Issuer

ISSUER = Issuer("HS256", "the secret of these tests, which has 32 bytes and more")

LIMITS = {"largest_frame", "maxFramePayloadSize", "maxMessagePayloadSize"}
"""What a socket has of its own as long as it takes small frames only."""

SENT = {"_gathered", "outlet"}
"""What the short path notes of a socket that has sent something."""


@pytest.fixture
def inside(request: pytest.FixtureRequest, tmp_path: Path, valkey: Server) -> Iterator[Gateway]:
    """A gateway in this process, with a store of its own kind. The parameter: with the short path or not."""
    fast_path = getattr(request, "param", True)
    settings = Settings(data_dir=tmp_path / "data", port=0, redis_url=valkey.url, fast_path=fast_path)
    yield from started(settings)


@pytest.fixture
def guarded(tmp_path: Path, valkey: Server) -> Iterator[Gateway]:
    """One whose sockets have to authenticate with ISSUER's tokens."""
    (tmp_path / "key").write_bytes(ISSUER.public)
    keys: dict[str, Any] = {"auth": "jwt", "jwt_key_file": tmp_path / "key"}
    yield from started(Settings(data_dir=tmp_path / "data", port=0, redis_url=valkey.url, **keys))


def started(settings: Settings) -> Iterator[Gateway]:
    gateway = Gateway(reactor, settings)
    try:
        run(gateway.start)
        yield gateway
    finally:
        run(gateway.stop)


def accepted() -> list[tcp.Server]:
    """The connections that the reactor has accepted and made WebSockets."""

    def look() -> list[tcp.Server]:
        return [
            reader
            for reader in reactor.getReaders()
            if isinstance(reader, tcp.Server) and isinstance(reader.protocol, SocketProtocol)
        ]

    return run(look)


def test_small_replies_are_sent_at_once(inside: Gateway) -> None:
    with Client(inside.url) as client:
        done(client.request("ping_node"), 204)
        (connection,) = accepted()
        option = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert option == 1


def test_a_closed_socket_is_forgotten(inside: Gateway) -> None:
    assert inside.node is not None
    gauge = inside.node.metrics
    with Client(inside.url) as client, RawSocket(inside.url) as raw:
        done(client.request("subscription_create", {"queue_name": "q"}), 201)
        assert len(accepted()) == 2
        assert b"zaqar_gateway_connections 2.0" in run(gauge.text)
        raw.send_frame(CLOSE)
    wait_until(lambda: accepted() == [])
    assert b"zaqar_gateway_connections 0.0" in run(gauge.text)


@pytest.mark.parametrize("inside", [True, False], indirect=True)
def test_a_closed_socket_is_freed_without_a_search_for_garbage(inside: Gateway) -> None:
    # What was frozen meanwhile is never searched.
    gc.disable()
    try:
        with Client(inside.url) as client:
            done(client.request("subscription_create", {"queue_name": "q"}), 201)
            done(client.request("ping_node"), 204)
            gone = weakref.ref(accepted()[0].protocol)
        wait_until(lambda: gone() is None)
    finally:
        gc.enable()


def test_a_quiet_socket_keeps_little(inside: Gateway) -> None:
    with Client(inside.url) as client:
        done(client.request("ping_node"), 204)
        kept = set(vars(accepted()[0].protocol))
    # Autobahn has some sixty.
    assert kept == {
        "autoPingPendingCall",
        "connected",
        "data",
        "peer",
        "session",
        "state",
        "transport",
        *SENT,
    }


def test_a_socket_that_has_authenticated_keeps_no_more_and_is_freed(guarded: Gateway) -> None:
    gc.disable()
    try:
        with Client(guarded.url, project="p", headers={"X-Auth-Token": ISSUER.token()}) as client:
            done(client.request("ping_node"), 204)
            assert not vars(accepted()[0].protocol).keys() & LIMITS
            gone = weakref.ref(accepted()[0].protocol)
        wait_until(lambda: gone() is None)
        with Client(guarded.url) as client:
            assert client.request("ping_node").status == 403
            assert vars(accepted()[0].protocol).keys() >= LIMITS
            gone = weakref.ref(accepted()[0].protocol)
        wait_until(lambda: gone() is None)
    finally:
        gc.enable()


def test_at_the_end_sockets_are_closed_with_1012(inside: Gateway) -> None:
    with RawSocket(inside.url) as raw, Client(inside.url) as client:
        done(client.request("ping_node"), 204)
        stopping = run(lambda: [inside.stop()])
        assert raw.receive_close() == 1012
        raw.send_frame(CLOSE, b"\x03\xf4")
        assert raw.receive_rest() == b""
        run(lambda: stopping[0])
        assert accepted() == []

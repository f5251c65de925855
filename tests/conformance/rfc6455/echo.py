"""The gateway's sockets, but for what answers: each message comes back as it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.protocol import TrafficStats
from twisted.internet.address import IPv4Address

from gateway.websocket.at_rest import AT_REST, let_go
from gateway.websocket.compression import accept, make_compressed, takes_compressed
from gateway.websocket.outbox import Outbox
from gateway.websocket.protocol import ShortPathProtocol, SocketProtocol
from protocol.codec import Form
from tests.support.reactor import reactor, run

LARGEST = 1 << 24


class _Echo(SocketProtocol):
    """Answers each message with itself."""

    def onConnect(self, request: object) -> None:
        """Everybody may."""

    def onOpen(self) -> None:
        if takes_compressed(self._perMessageCompress):
            self.make_frame = make_compressed
        let_go(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.send_frame(payload, Form.MSGPACK if isBinary else Form.JSON)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Nobody wants to know."""


class PlainEcho(_Echo):
    """With Autobahn's own way."""


class ShortPathEcho(ShortPathProtocol, _Echo):  # type: ignore[misc]  # as ShortPathProtocol itself
    """With the short path for frames."""

    onConnect = _Echo.onConnect
    onOpen = _Echo.onOpen
    onMessage = _Echo.onMessage
    onClose = _Echo.onClose


@contextmanager
def echo_server(protocol: type[SocketProtocol]) -> Iterator[str]:
    """A server on a free port of loopback; its URL."""

    def listen() -> Any:
        factory = WebSocketServerFactory(reactor=reactor)
        factory.setProtocolOptions(
            failByDrop=False,
            maxFramePayloadSize=LARGEST,
            maxMessagePayloadSize=LARGEST,
            perMessageCompressionAccept=accept,
        )
        shared = {
            **AT_REST,
            "trafficStats": TrafficStats(),
            "outbox": Outbox(reactor),
            "largest_frame": LARGEST,
        }
        made: Any = type(protocol.__name__, (protocol,), shared)
        factory.protocol = made
        return reactor.listenTCP(0, factory, interface="127.0.0.1")

    port = run(listen)
    try:
        yield f"ws://127.0.0.1:{cast(IPv4Address, port.getHost()).port}/"
    finally:
        run(port.stopListening)

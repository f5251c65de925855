"""The WebSocket endpoint: Autobahn does handshake, control frames, fragments and closing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import deferLater
from zope.interface import implementer

from gateway import __version__
from gateway.actions.call import Node
from gateway.auth.handshake import handshake_token
from gateway.logs import get_logger
from gateway.websocket.at_rest import AT_REST, let_go
from gateway.websocket.compression import accept, make_compressed, takes_compressed
from gateway.websocket.frames import announced_size, make_frame, opcode
from gateway.websocket.outbox import Outbox
from gateway.websocket.outlet import Outlet
from gateway.websocket.session import Session
from gateway.websocket.short_path import ShortPath
from gateway.websocket.silence import left_of_silence
from protocol.close_codes import INTERNAL_ERROR, SERVICE_RESTART
from protocol.codec import Form
from protocol.extension import SUBPROTOCOL

_QUOTED = re.compile(r""" ?(["']).*\1""", re.DOTALL)

log = get_logger(__name__)


@implementer(IPushProducer)
class SocketProtocol(WebSocketServerProtocol):
    """One WebSocket. As a producer, it hears from the transport when unsent bytes pile up and go."""

    factory: SocketFactory
    transport: Any
    session: Session | None = None
    make_frame: Callable[[int, bytes], bytes] = staticmethod(make_frame)
    _perMessageCompress: Any  # None where nothing was agreed on
    largest_frame: int
    current_frame: Any  # None between frames, which Autobahn does not say
    reading_paused = False
    address: str | None = None
    """The client's: until the socket is open, and then as long as it is counted as one of its sockets."""
    outlet = Outlet(None)
    """Never free: Autobahn sends, and only it knows what is before a notification."""

    def onConnect(self, request: ConnectionRequest) -> str | None:
        """Accept or refuse the handshake; the subprotocol that is agreed on.

        Refuses pages of other sites (RFC 6455 section 10.2), and sockets beyond the limits.
        """
        access = self.factory.node.access
        if not access.origin_allowed(request.headers):
            raise ConnectionDeny(403, "Pages of this origin may not connect here.")
        address = access.client_address(self.transport.getPeer().host, request.headers)
        counts = self.factory.node.open_sockets
        refused = counts.enter(address)
        if refused is not None:
            self.factory.node.metrics.refused(refused.limit)
            raise ConnectionDeny(refused.status, refused.reason)
        self.address = address
        return SUBPROTOCOL if SUBPROTOCOL in request.protocols else None

    def failHandshake(
        self, reason: str, code: int = 400, responseHeaders: list[tuple[str, str]] | None = None
    ) -> None:
        """Refuse it without what Autobahn quotes of it, such as a subprotocol that is a token."""
        super().failHandshake(_QUOTED.sub("", reason), code, responseHeaders)

    def onOpen(self) -> None:
        extended = self.websocket_protocol_in_use == SUBPROTOCOL
        compressed = takes_compressed(self._perMessageCompress)
        if compressed:
            self.make_frame = make_compressed
        self.session = Session(self.factory.node, self, extended=extended, compressed=compressed)
        self.factory.sockets.add(self)
        self.factory.node.open_sockets.opened()
        self.factory.node.metrics.connections.inc()
        self.registerProducer(self, True)
        self.transport.setTcpKeepAlive(True)  # a peer that is gone without a word is noticed in the end
        log.info("connection_opened", connection=self.session.id, peer=self.peer, client=self.address)
        if not self.factory.node.open_sockets.by_address:
            self.address = None  # what a quiet socket keeps is kept many times
        token = handshake_token(self.http_headers, self.websocket_protocols)
        let_go(self)
        if token is not None:
            self.session.begin_with(token)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert self.session is not None
        if self._perMessageCompress is not None:
            self._perMessageCompress._decompressor = None  # Autobahn makes one for each message, and keeps it
        self.session.receive(payload, Form.MSGPACK if isBinary else Form.JSON)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.address is not None:
            self.factory.node.open_sockets.leave(self.address)
            self.address = None
        session, self.session = self.session, None  # each knows the other: a cycle
        if session is None:  # the handshake was never completed
            return
        self.factory.sockets.discard(self)
        self.factory.node.open_sockets.closed()
        self.factory.node.metrics.connections.dec()
        session.close()
        if self.wasMaxFramePayloadSizeExceeded or self.wasMaxMessagePayloadSizeExceeded:
            self.factory.node.metrics.refused("max_frame_bytes")
        log.info("connection_closed", connection=session.id, code=code, clean=wasClean)

    def processData(self) -> bool:
        # What is in the buffer waits too: compressed, it may be a thousand times as large as it looks.
        if self.reading_paused:
            return False
        # What would close the socket waits for a token that is looked at: then it may be no stranger's.
        too_large = self.current_frame is None and announced_size(self.data) > self.largest_frame > 0
        if too_large and self.session is not None and self.session.hold():
            return False
        return super().processData()

    def onAutoPingTimeout(self) -> None:
        """Autobahn saw no pong and no message in time. Whoever sends anything else is alive as well."""
        patience: float = self.factory.node.settings.ping_timeout
        if self.reading_paused and self.data and self.session is not None and self.session.writable:
            silence = patience  # the pong may wait here, behind requests that wait for the store
        else:
            silence = left_of_silence(self.transport, patience)
        if silence > 0:
            # Autobahn's timer rounds down to whole seconds.
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                silence + 1, self.onAutoPingTimeout
            )
            return
        if self.session is not None:
            log.info("connection_silent", connection=self.session.id)
        super().onAutoPingTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        # A closing handshake that is done needs no reset, which would take our own close frame with it.
        super().dropConnection(abort and not self.wasClean)

    # For the session

    def send_frame(self, frame: bytes, form: Form) -> None:
        # Not sendMessage: it holds replies to the limit of requests, and raises once the socket is closing.
        if self.state == self.STATE_OPEN:
            self.send_raw(self.make_frame(opcode(form), frame))

    def send_raw(self, frame: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.trafficStats.outgoingWebSocketFrames += 1
            self.sendData(frame)

    send_at_once = send_raw

    def pause_reading(self) -> None:
        self.reading_paused = True
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resumeProducing()
            self.consumeData()

    def limit_frames(self, limit: int | None) -> None:
        for name in ("largest_frame", "maxFramePayloadSize", "maxMessagePayloadSize"):
            if limit is None:
                vars(self).pop(name, None)  # the class has the node's
            else:
                setattr(self, name, limit)

    def close(self, code: int, reason: str) -> None:
        # Not sendClose: it refuses the codes that came after RFC 6455.
        self.sendCloseFrame(code, reason.encode())

    def fail(self) -> None:
        self.close(INTERNAL_ERROR, "The gateway failed on this connection.")

    # For the factory

    async def close_when_idle(self) -> None:
        """Close with 1012 when no request is at work. Ends with the connection at the latest."""
        if self.session is not None:
            await self.session.finish()
        self.close(SERVICE_RESTART, "The gateway is restarting.")

    # IPushProducer, for the transport

    def pauseProducing(self) -> None:
        if self.session is not None:
            self.session.set_writable(False)

    def resumeProducing(self) -> None:
        if self.session is not None:
            self.session.set_writable(True)

    def stopProducing(self) -> None:
        """The connection is lost; onClose follows."""


class ShortPathProtocol(ShortPath, SocketProtocol):  # type: ignore[misc]  # Autobahn's own bases disagree
    """The same, with the short path for frames."""


class SocketFactory(WebSocketServerFactory):
    """Builds sockets, and knows those that are open."""

    def __init__(self, reactor: Any, node: Node) -> None:
        super().__init__(server=f"zaqar-gateway/{__version__}", reactor=reactor)
        self.node = node
        self.sockets: set[SocketProtocol] = set()
        self.setProtocolOptions(
            webStatus=False,
            allowNullOrigin=True,  # onConnect decides of it as of others
            openHandshakeTimeout=node.settings.handshake_timeout,
            closeHandshakeTimeout=2,
            autoPingInterval=node.settings.ping_interval,
            autoPingTimeout=node.settings.ping_timeout,
            # A client that breaks the protocol is told why, with a close frame.
            failByDrop=False,
            maxFramePayloadSize=node.settings.max_frame_bytes,
            maxMessagePayloadSize=node.settings.max_frame_bytes,
            perMessageCompressionAccept=accept if node.settings.compression else None,
        )
        self.protocol = self._configured(ShortPathProtocol if node.settings.fast_path else SocketProtocol)

    def _configured(self, protocol: type[SocketProtocol]) -> Any:
        """The class with the options as its attributes: Autobahn would copy them to each connection."""
        options = {name: getattr(self, name) for name in WebSocketServerProtocol.CONFIG_ATTRS}
        # A function among the attributes of a class would become a method.
        options["perMessageCompressionAccept"] = staticmethod(options["perMessageCompressionAccept"])
        own = {
            **AT_REST,
            "CONFIG_ATTRS": [],
            "factory": self,
            "trafficStats": TrafficStats(),
            "outbox": Outbox(self.reactor),
            "largest_frame": self.node.settings.max_frame_bytes,
        }
        return type(protocol.__name__, (protocol,), options | own)

    async def drain(self) -> None:
        """Close every socket with 1012, each as soon as its request in flight is answered."""
        for socket in list(self.sockets):
            Deferred.fromCoroutine(socket.close_when_idle())
        while self.sockets:
            await deferLater(self.reactor, 0.02, lambda: None)

    def drop(self) -> None:
        """Drop the sockets that did not answer the close."""
        for socket in list(self.sockets):
            # Not dropConnection: it does nothing for one that has closed and does not read what is left.
            socket.transport.abortConnection()

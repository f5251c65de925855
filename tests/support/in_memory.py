"""A server's side of a WebSocket in memory: Autobahn as it comes and with the short path, to compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gateway.websocket.at_rest import AT_REST, let_go
from gateway.websocket.frames import BINARY, TEXT
from gateway.websocket.outbox import Outbox
from gateway.websocket.short_path import ShortPath
from protocol.codec import Form

LIMIT = 70_000
"""Bytes that a message may have: more than fit a length of two bytes."""

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


FORMS = {TEXT: Form.JSON, BINARY: Form.MSGPACK}


class Server(WebSocketServerProtocol):
    """Answers each message with itself, twice; some words make it close, or drop the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[bytes, bool]] = []
        self.closed: list[tuple[bool, int | None, str | None]] = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.messages.append((payload, isBinary))
        self.answer(BINARY if isBinary else TEXT, payload)
        match payload:
            case b"close":
                self.sendCloseFrame(4001, b"asked for")
            case b"drop":
                self.dropConnection(abort=False)
            case b"abort":
                self.dropConnection(abort=True)
        self.answer(BINARY if isBinary else TEXT, payload)

    def answer(self, kind: int, payload: bytes) -> None:
        """Send a message as the gateway's sockets do."""
        if self.state == self.STATE_OPEN:
            self.sendFrame(kind, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.closed.append((wasClean, code, reason))


class ShortPathServer(ShortPath, Server):  # type: ignore[misc]  # Autobahn's own bases disagree
    """The same with the short path, and with little in memory."""

    largest_frame = LIMIT
    reading_paused = False

    def onOpen(self) -> None:
        let_go(self)

    def answer(self, kind: int, payload: bytes) -> None:
        self.send_frame(payload, FORMS[kind])


class Turns(Clock):
    """A clock that is a reactor in so far as its turns end."""

    def __init__(self) -> None:
        super().__init__()
        self._turn_end: list[Callable[[], object]] = []

    def at_turn_end(self, call: Callable[[], object]) -> None:
        """As LeanReactor's."""
        self._turn_end.append(call)

    def end_turn(self) -> None:
        """Do what waits for it."""
        calls, self._turn_end = self._turn_end, []
        for call in calls:
            call()

    call_later = Clock.callLater  # as Autobahn's own timers call it


class Transport(StringTransport):
    """What was written; it may be told twice that there is no producer, as a real one."""

    def unregisterProducer(self) -> None:
        self.producer = None


class InMemory:
    """One connection, its handshake done."""

    def __init__(self, protocol: type[Server], **options: Any) -> None:
        self.clock = Turns()
        factory = WebSocketServerFactory(reactor=self.clock)
        factory._batched_timer = self.clock
        factory.setProtocolOptions(
            failByDrop=False, maxFramePayloadSize=LIMIT, maxMessagePayloadSize=LIMIT, **options
        )
        shared: dict[str, Any] = {"outbox": Outbox(self.clock), "trafficStats": TrafficStats()}
        if protocol is ShortPathServer:
            shared |= AT_REST
        self.server: Any = type(protocol.__name__, (protocol,), shared)()
        self.server.factory = factory
        self.transport = Transport()
        self.server.makeConnection(self.transport)
        self.receive(HANDSHAKE)
        assert self.server.state == self.server.STATE_OPEN
        self.transport.registerProducer(self.server, True)

    def receive(self, data: bytes) -> None:
        """One read, in a turn of its own."""
        self.server.dataReceived(data)
        self.clock.end_turn()

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.advance(seconds)
        self.clock.end_turn()

    def lose(self) -> None:
        """The connection ends."""
        self.server.connectionLost(Failure(ConnectionDone()))
        self.clock.end_turn()

    def seen(self) -> dict[str, Any]:
        """What there is to compare: what came in, what went out, and the state between two reads."""
        server, frame = self.server, self.server.current_frame
        state = {name: getattr(server, name) for name in _STATE}
        if frame is not None:
            masker = server.current_frame_masker
            state["frame"] = (frame.opcode, frame.fin, frame.rsv, frame.length, frame.mask, masker.pointer())
        if server.inside_message:
            state["message"] = [getattr(server, name) for name in _MESSAGE]
            state["utf8"] = server.utf8validateIncomingCurrentMessage and server.utf8validateLast
        return {
            **state,
            "sent": self.transport.value(),
            "ending": (self.transport.disconnecting, self.transport.disconnected),
            "timers": [(call.time, call.func.__name__) for call in cast(list[Any], self.clock.calls)],
            "traffic": {
                name: count for name, count in vars(server.trafficStats).items() if "preopen" not in name
            },
        }


_STATE = (
    *("messages", "closed", "state", "data", "inside_message", "closedByMe", "failedByMe", "droppedByMe"),
    *("wasClean", "wasNotCleanReason", "wasMaxFramePayloadSizeExceeded", "wasMaxMessagePayloadSizeExceeded"),
    *("localCloseCode", "localCloseReason", "remoteCloseCode", "remoteCloseReason"),
    *("autoPingPending", "autoPingPendingSeq", "autoPingPendingSent"),
)

_MESSAGE = ("message_is_binary", "message_data", "message_data_total_length")

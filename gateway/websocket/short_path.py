"""The short path: whole frames in, and everything out, past Autobahn.

Autobahn takes a frame apart in some forty calls, one for each thing that may be odd about it. Nearly all
frames have nothing odd: they are complete, unfragmented, masked text or binary frames within the limit of
size. Those are taken here. At the first byte of anything else Autobahn goes on, in the state in which it
would be had it taken all frames before itself; it makes all close frames, pongs and handshakes.

What is sent is gathered, and leaves at the end of the reactor's turn in one piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.python.failure import Failure

from gateway.websocket.frames import BINARY, FIN, MASKED, TEXT, make_frame, opcode, unmask
from gateway.websocket.outbox import Outbox
from gateway.websocket.outlet import Outlet
from protocol.codec import Form

MAX_GATHERED = 65_536
"""Bytes that are gathered for one socket; more are sent at once, so that the transport counts them."""

_TEXT = FIN | TEXT
_BINARY = FIN | BINARY
_UP_TO_125 = MASKED | 125
_TWO_BYTES = MASKED | 126


class ShortPath(WebSocketServerProtocol):
    """For a server whose clients mask, and whose text is UTF-8. What is compressed is not plain.

    A subclass sets `reading_paused`, `outbox`, and `largest_frame`: the smaller of Autobahn's two limits,
    bytes; 0 is none.
    """

    outbox: Outbox
    outlet: Outlet
    largest_frame: int
    transport: Any
    # Autobahn does not say that these may be None, nor that there is the third.
    current_frame: Any
    autoPingTimeoutCall: Any
    autoPingRestartOnAnyTraffic: bool

    make_frame: Callable[[int, bytes], bytes] = staticmethod(make_frame)
    """Makes a frame of an opcode and a payload."""

    reading_paused: bool
    """Whether what comes, and what is in the buffer, waits."""

    _gathered: bytes | list[bytes] | None = None
    _gathered_bytes = 0

    def connectionMade(self) -> None:
        self.outlet = Outlet(self.transport)
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted always gives one
        super().connectionLost(reason)
        self._gathered = None
        self.outlet.close()

    # In

    def dataReceived(self, data: bytes) -> None:
        # Not super(): it makes the words of a debug event of each read, also if nobody hears them.
        self._dataReceived(data)

    def consumeData(self) -> None:
        """Take what is in the buffer, as Autobahn's own does: until it is empty or more is needed."""
        if self.state != self.STATE_OPEN:
            super().consumeData()
            return
        while not self.reading_paused:
            if self.current_frame is None and not self.inside_message and self.state == self.STATE_OPEN:
                self._take_whole_frames()
                if not self.data or self.state == self.STATE_CLOSED:
                    return
            if not self.processData() or self.state == self.STATE_CLOSED:
                return

    def _take_whole_frames(self) -> None:
        """Take the plain frames at the beginning of the buffer; stop at the first that is anything else."""
        data, largest = self.data, self.largest_frame
        end, position, messages, octets = len(data), 0, 0, 0
        while end - position >= 6:
            kind, length = data[position], data[position + 1]
            if kind not in (_TEXT, _BINARY) or length < MASKED:
                break
            if length <= _UP_TO_125:
                start, size = position + 6, length - MASKED
            elif length == _TWO_BYTES:
                start, size = position + 8, data[position + 2] << 8 | data[position + 3]
                if size < 126:  # not in its shortest form
                    break
            else:
                start, size = position + 14, int.from_bytes(data[position + 2 : position + 10], "big")
                if size < 65_536:
                    break
            after = start + size
            if after > end or 0 < largest < size:
                break
            payload = unmask(data[start:after], data[start - 4 : start])
            if kind == _TEXT and not payload.isascii() and not _is_utf8(payload):
                break
            position = after
            messages += 1
            octets += size
            if self.autoPingTimeoutCall is not None and self.autoPingRestartOnAnyTraffic:
                self._cancelAutoPingTimeoutCall()
            self.onMessage(payload, kind == _BINARY)
            if self.state != self.STATE_OPEN or self.reading_paused:
                break
        if messages:
            self.data = data[position:]
            traffic = self.trafficStats
            traffic.incomingWebSocketFrames += messages
            traffic.incomingWebSocketMessages += messages
            traffic.incomingOctetsWebSocketLevel += octets
            traffic.incomingOctetsAppLevel += octets

    # Out

    def send_frame(self, frame: bytes, form: Form) -> None:
        """Send a message in its turn. Nothing happens once the socket is closing."""
        self.send_raw(self.make_frame(opcode(form), frame))

    def send_raw(self, frames: bytes) -> None:
        """Send data frames as they are. Nothing happens once the socket is closing."""
        if self.state == self.STATE_OPEN:
            self.trafficStats.outgoingWebSocketFrames += 1
            if self._gathered is None:
                self._gathered = frames
                self.outlet.free = None
                self.outbox.add(self)
                if len(frames) > MAX_GATHERED:
                    self._send_early()
            else:
                self._gather(frames)

    def send_at_once(self, frames: bytes) -> None:
        """The same where nothing will be added in this turn: if nothing is gathered, they leave now."""
        if self._gathered is not None:
            self.send_raw(frames)
        elif self.state == self.STATE_OPEN:
            traffic = self.trafficStats
            traffic.outgoingWebSocketFrames += 1
            traffic.outgoingOctetsWireLevel += len(frames)
            self.outlet.transmit(frames)
            self.outlet.look()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Autobahn's way out: its control frames go behind what is gathered, its handshake at once."""
        self.outlet.close()
        if sync or chopsize or self.send_queue:
            self.flush()
            super().sendData(data, sync, chopsize)
        elif self.state == self.STATE_OPEN:
            self._gather(data)
        else:
            if self.state == self.STATE_CONNECTING:
                self.trafficStats.preopenOutgoingOctetsWireLevel += len(data)
            self.outlet.transmit(data)

    def _gather(self, data: bytes) -> None:
        gathered = self._gathered
        if gathered is None:
            self._gathered = data
            self.outbox.add(self)
            return
        if isinstance(gathered, bytes):
            gathered = self._gathered = [gathered]
            self._gathered_bytes = len(gathered[0])
        gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes > MAX_GATHERED:
            self._send_early()

    def _send_early(self) -> None:
        self.flush()
        self._gathered = b""  # it stands in the outbox already

    def flush(self) -> None:
        """Send what is gathered."""
        gathered, self._gathered = self._gathered, None
        if gathered:
            data = gathered if isinstance(gathered, bytes) else b"".join(gathered)
            self.trafficStats.outgoingOctetsWireLevel += len(data)
            self.outlet.transmit(data)

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abortConnection()

    def _closeConnection(self, abort: bool = False) -> None:
        self.outlet.close()
        self.flush()  # the close frame, most often
        super()._closeConnection(abort)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True

"""What leaves a socket: in order, in one piece per turn, and behind what the transport still holds."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.tcp import Server as TCPServer
from twisted.python.failure import Failure

from gateway.websocket.frames import BINARY, TEXT, make_frame, unmask
from gateway.websocket.outlet import Outlet
from gateway.websocket.short_path import MAX_GATHERED
from protocol.codec import Form
from tests.support import raw
from tests.support.in_memory import InMemory, ShortPathServer


class Socket:
    """A kernel's socket: takes `room` bytes, and none without."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self.error = errno.EAGAIN
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        """As socket.send."""
        if not self.room:
            raise OSError(self.error, "no room")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent.append(taken)
        return len(taken)

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        return 99


class Descriptors:
    """A reactor that notes who wants to write."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def addReader(self, reader: Any) -> None:
        """Nothing is read."""

    removeReader = addReader


class Producer:
    """Hears when the transport has enough."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def pauseProducing(self) -> None:
        self.heard.append("pause")

    def resumeProducing(self) -> None:
        self.heard.append("resume")

    def stopProducing(self) -> None:
        self.heard.append("stop")


class Wired:
    """A socket on the short path, over Twisted's own TCP transport and a kernel of ours."""

    def __init__(self) -> None:
        self.memory = InMemory(ShortPathServer)
        self.kernel = Socket()
        self.reactor = Descriptors()
        self.transport = TCPServer.__new__(TCPServer)
        kernel: Any = self.kernel
        reactor: Any = self.reactor
        super(TCPServer, self.transport).__init__(kernel, self.memory.server, reactor)
        self.transport.connected = 1
        self.producer = Producer()
        self.transport.registerProducer(self.producer, True)
        self.server = self.memory.server
        self.server.transport = self.transport
        self.server.outlet = Outlet(self.transport)

    def end_turn(self) -> None:
        self.memory.clock.end_turn()

    def drain(self) -> None:
        """The kernel takes all that the transport holds."""
        self.kernel.room = 1 << 30
        while self.transport in self.reactor.writers:
            self.transport.doWrite()


@pytest.fixture
def wired() -> Iterator[Wired]:
    yield Wired()


def test_one_piece_per_turn(wired: Wired) -> None:
    frames = [make_frame(TEXT, b"%d" % number) for number in range(5)]
    for frame in frames:
        wired.server.send_raw(frame)
    assert wired.kernel.sent == []
    wired.end_turn()
    assert wired.kernel.sent == [b"".join(frames)]
    wired.server.send_raw(frames[0])
    wired.end_turn()
    assert wired.kernel.sent[1:] == [frames[0]]


def test_replies_of_one_read_leave_together() -> None:
    memory = InMemory(ShortPathServer)
    written: list[bytes] = []
    transport: Any = memory.transport
    transport.write = written.append
    memory.receive(b"".join(raw.make_frame(TEXT, b"%d" % number) for number in range(3)))
    assert written == [b"".join(make_frame(TEXT, b"%d" % (number // 2)) for number in range(6))]


@pytest.mark.parametrize("room", [0, 1, 7])
def test_what_the_kernel_does_not_take_goes_first_later(wired: Wired, room: int) -> None:
    frames = [make_frame(BINARY, b"%d" % number) for number in range(9)]
    wired.kernel.room = room
    for frame in frames[:3]:
        wired.server.send_raw(frame)
    wired.end_turn()
    # There is room again, but the transport has not written yet: what comes now must wait behind that.
    wired.kernel.room = 1 << 30
    for frame in frames[3:6]:
        wired.server.send_raw(frame)
    wired.end_turn()
    assert sum(map(len, wired.kernel.sent)) == room
    wired.drain()
    for frame in frames[6:]:
        wired.server.send_raw(frame)
    wired.end_turn()
    assert b"".join(wired.kernel.sent) == b"".join(frames)
    assert wired.transport not in wired.reactor.writers


def test_the_producer_hears_when_it_is_too_much(wired: Wired) -> None:
    wired.kernel.room = 0
    frame = make_frame(TEXT, b"x" * 1000)
    count = 0
    while not wired.producer.heard:  # within the turn: who pushes must not go on until it ends
        wired.server.send_raw(frame)
        count += 1
    assert set(wired.producer.heard) == {"pause"}
    assert MAX_GATHERED < count * len(frame) < 2 * MAX_GATHERED
    wired.end_turn()
    wired.drain()
    assert wired.producer.heard == ["pause", "resume"]
    assert b"".join(wired.kernel.sent) == frame * count


def test_a_broken_socket_is_left_to_the_transport(wired: Wired) -> None:
    wired.kernel.room, wired.kernel.error = 0, errno.EPIPE
    wired.server.send_raw(make_frame(TEXT, b"x"))
    wired.end_turn()
    assert wired.transport in wired.reactor.writers
    assert wired.transport.doWrite() is not None  # it finds out, and tells the reactor


def test_the_close_frame_is_last_and_leaves_before_the_end(wired: Wired) -> None:
    wired.server.send_raw(make_frame(TEXT, b"x"))
    wired.server.sendCloseFrame(1000)
    wired.server.send_raw(make_frame(TEXT, b"too late"))
    wired.server.wasClean = True
    wired.server.dropConnection(abort=False)
    assert wired.kernel.sent == [make_frame(TEXT, b"x") + b"\x88\x02\x03\xe8"]
    assert wired.transport.disconnecting
    wired.end_turn()
    assert len(wired.kernel.sent) == 1


def test_one_socket_that_fails_costs_no_other(wired: Wired) -> None:
    other = Wired()
    other.server.outbox = wired.server.outbox
    lost: list[bool] = []

    def fail() -> None:
        raise RuntimeError("a fault")

    wired.server.flush = fail
    wired.server.abort = lambda: lost.append(True)
    for server in (wired.server, other.server):
        server.send_raw(make_frame(TEXT, b"x"))
    wired.end_turn()
    assert lost == [True]
    assert other.kernel.sent == [make_frame(TEXT, b"x")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1500, 1501, 65_535, 65_536, 100_003])
def test_frames_are_those_of_autobahn(size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    memory = InMemory(ShortPathServer)
    written: list[bytes] = []
    memory.server.sendData = lambda data, sync, chopsize: written.append(data)
    memory.server.sendFrame(BINARY, payload[:size])
    assert written == [make_frame(BINARY, payload[:size])]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1499, 1500, 1501, 1502, 1503, 70_001])
@pytest.mark.parametrize("mask", [bytes(4), b"\xff\x00\x80\x01", b"\x00\x00\x00\x01"])
def test_unmasking(size: int, mask: bytes) -> None:
    payload = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert unmask(payload, mask) == bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


# What goes to many sockets at once


def send_to_many(wired: Wired, frame: bytes) -> bool:
    """As the feed and the session do it; whether the shortest way was taken."""
    free: bool = wired.server.outlet.put(frame)
    if not free:
        wired.server.send_at_once(frame)
    return free


def test_what_goes_to_many_leaves_before_the_turn_ends(wired: Wired) -> None:
    frames = [make_frame(TEXT, b"%d" % number) for number in range(3)]
    # The first finds out that nothing is in the way.
    assert [send_to_many(wired, frame) for frame in frames] == [False, True, True]
    assert wired.kernel.sent == frames


IN_THE_WAY: list[Callable[[Wired], object]] = [
    lambda wired: wired.server.send_raw(make_frame(TEXT, b"a reply")),
    lambda wired: wired.server.send_frame(b"a reply", Form.MSGPACK),
    lambda wired: wired.server.send_raw(make_frame(TEXT, bytes(MAX_GATHERED + 1))),
    lambda wired: wired.server.sendPing(b"ping"),
    lambda wired: wired.server.sendPong(b"pong"),
]


@pytest.mark.parametrize("send", IN_THE_WAY)
def test_what_goes_to_many_passes_nothing(wired: Wired, send: Callable[[Wired], object]) -> None:
    first, second = (make_frame(TEXT, b"%d" % number) for number in range(2))
    send_to_many(wired, first)
    send(wired)
    assert not send_to_many(wired, second)
    wired.end_turn()
    sent = b"".join(wired.kernel.sent)
    assert sent.startswith(first)
    assert sent.endswith(second)
    assert len(sent) > len(first + second)
    assert not send_to_many(wired, first)
    assert send_to_many(wired, second)
    assert b"".join(wired.kernel.sent) == sent + first + second


@pytest.mark.parametrize("room", [0, 1, 2])
def test_what_goes_to_many_waits_behind_the_rest_of_what_went_before(wired: Wired, room: int) -> None:
    frames = [make_frame(BINARY, b"%d" % number) for number in range(6)]
    send_to_many(wired, frames[0])
    wired.kernel.room = room
    assert send_to_many(wired, frames[1])
    assert not send_to_many(wired, frames[2])
    wired.kernel.room = 1 << 30  # but the transport has not written yet
    assert not send_to_many(wired, frames[3])
    wired.drain()
    assert not send_to_many(wired, frames[4])
    assert send_to_many(wired, frames[5])
    assert b"".join(wired.kernel.sent) == b"".join(frames)


def test_a_socket_that_does_not_read_is_heard_of(wired: Wired) -> None:
    frame = make_frame(BINARY, bytes(MAX_GATHERED))
    send_to_many(wired, b"")
    wired.kernel.room = 0
    assert send_to_many(wired, frame)
    send_to_many(wired, frame)
    assert set(wired.producer.heard) == {"pause"}


ENDINGS: list[Callable[[Wired], object]] = [
    lambda wired: wired.server.sendClose(1000, "enough"),
    lambda wired: wired.server.sendCloseFrame(1012, b"enough"),
    lambda wired: wired.server.dropConnection(abort=False),
    lambda wired: wired.server.connectionLost(Failure(ConnectionDone())),
    lambda wired: wired.memory.receive(raw.make_frame(raw.CLOSE, b"")),
]


@pytest.mark.parametrize("end", ENDINGS)
def test_nothing_goes_to_many_behind_the_end(wired: Wired, end: Callable[[Wired], object]) -> None:
    frame = make_frame(TEXT, b"a notification")
    send_to_many(wired, frame)
    end(wired)
    assert not send_to_many(wired, frame)
    assert not send_to_many(wired, frame)
    wired.end_turn()
    assert b"".join(wired.kernel.sent).count(frame) == 1


def test_a_socket_that_is_broken_costs_itself_alone(wired: Wired) -> None:
    frame = make_frame(TEXT, b"a notification")
    send_to_many(wired, frame)
    wired.kernel.room, wired.kernel.error = 0, errno.ECONNRESET
    assert send_to_many(wired, frame)
    assert wired.transport in wired.reactor.writers

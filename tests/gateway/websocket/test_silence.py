"""What the kernel tells of a silent peer."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from gateway.websocket.silence import is_lost, left_of_silence
from tests.support.reactor import wait_until

LONG, SHORT = 60.0, 0.05
"""Seconds of patience: with the first all is recent, with the second nothing is."""


class Transport:
    """As much of a transport as is asked for."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle

    def getHandle(self) -> socket.socket:
        return self._handle


class Dead(socket.socket):
    """A socket whose peer has acknowledged nothing for a minute, as none on this machine would."""

    def getsockopt(self, level: int, option: int, size: int = 0) -> bytes:  # type: ignore[override]  # of one form
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return struct.pack("=24xI24xII", 3, 61_000, 61_000)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """This side of a TCP connection, and the peer's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as peer,
    ):
        ours, _ = server.accept()
        with ours:
            ours.setblocking(False)
            yield ours, peer


def fill(ours: socket.socket) -> None:
    """Send until the kernel takes no more: the peer does not read."""
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(65_536))


def test_who_has_just_spoken_has_time(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    peer.send(b"x")
    wait_until(lambda: ours.recv(1))
    assert LONG - 5 < left_of_silence(Transport(ours), LONG) <= LONG


def test_silence_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    peer.send(b"x")
    wait_until(lambda: ours.recv(1))
    ours.send(b"a ping, which is acknowledged")
    wait_until(lambda: left_of_silence(Transport(ours), SHORT) == 0)


def test_what_was_not_read_yet_is_no_silence(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    peer.send(b"x")
    wait_until(lambda: left_of_silence(Transport(ours), SHORT) == SHORT)
    ours.recv(1)
    wait_until(lambda: left_of_silence(Transport(ours), SHORT) == 0)


def test_a_peer_that_does_not_read_cannot_answer(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    fill(ours)
    wait_until(lambda: left_of_silence(Transport(ours), SHORT) == SHORT)


def test_a_peer_that_acknowledges_nothing_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    fill(ours)
    with Dead(fileno=ours.detach()) as dead:
        assert left_of_silence(Transport(dead), LONG) == 0


def test_what_is_no_socket_has_no_time() -> None:
    assert left_of_silence(object(), LONG) == 0


def test_a_stream_is_lost_when_nothing_is_acknowledged(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    ours.send(b"x")
    assert not is_lost(Transport(ours), 0.0)  # all is acknowledged, however long the peer says nothing
    fill(ours)
    assert not is_lost(Transport(ours), LONG)
    with Dead() as dead:
        assert is_lost(Transport(dead), LONG)
        assert not is_lost(Transport(dead), LONG + 5)
    assert not is_lost(object(), 0.0)

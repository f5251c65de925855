"""Sockets that are subscribed on some node, as a part of machines: they come, are slow, leave and resume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from gateway.push.hub import Hub
from storage.records import Queue, Start, Subscribed
from tests.properties.push_model import PushModel
from tests.support.hub import Socket
from tests.support.reactor import run


class ReaderNode(Protocol):
    """A node, as far as its subscribers are concerned."""

    hub: Hub

    async def resume(self, socket: Socket, start: Start | None, queue: Queue) -> Subscribed | None:
        """Subscribe a socket, from `start` or from now on."""


@dataclass(eq=False)
class Reader:
    """A socket that is subscribed."""

    node: ReaderNode
    socket: Socket
    start: int
    """The position behind which it began."""


class Readers:
    """The sockets that are subscribed to one queue, and what they must have got by the model of it."""

    def __init__(self, model: PushModel, queue: Queue) -> None:
        self._model = model
        self._queue = queue
        self._all: list[Reader] = []
        self.left: list[int] = []
        """Where those stood who have left, and can resume."""

    def __len__(self) -> int:
        return len(self._all)

    def node_of(self, which: int) -> ReaderNode:
        """The node that one is on."""
        return self._all[which % len(self._all)].node

    # What happens to them

    def subscribe(self, node: ReaderNode, *, extended: bool = True) -> None:
        """One comes, for what is posted from now on."""
        self._add(node, None, self._model.visible, extended)

    def begin(self, node: ReaderNode) -> None:
        """One comes for all that there is."""
        self._add(node, Start(), 0, True)

    def resume(self, node: ReaderNode, which: int) -> None:
        """One of those who have left comes back."""
        position = self.left[which % len(self.left)]
        self._add(node, Start(position), position, True)

    def leave(self, which: int) -> None:
        """The socket of one closes."""
        reader = self._all.pop(which % len(self._all))
        if reader.socket.extended:
            self.left.append(reader.socket.markers[-1] if reader.socket.markers else reader.start)
        self._close(reader)

    def close(self) -> None:
        """All sockets close."""
        for reader in self._all:
            self._close(reader)
        self._all.clear()

    def be_slow(self, which: int) -> None:
        """The socket of one takes no more."""
        self._all[which % len(self._all)].socket.willing = False

    def take_more(self) -> None:
        """All sockets take what comes."""
        for reader in self._all:
            reader.socket.willing = True
            run(reader.node.hub.writable, reader.socket)

    def _add(self, node: ReaderNode, start: Start | None, position: int, extended: bool) -> None:
        socket = Socket(extended=extended)
        made: Any = run(node.resume, socket, start, self._queue)
        assert made is not None
        self._all.append(Reader(node, socket, position))
        assert made.position == position
        gap = None if start is None else self._model.gap(position)
        assert (made.gap and tuple(made.gap)) == gap

    @staticmethod
    def _close(reader: Reader) -> None:
        reader.socket.closed = True
        run(reader.node.hub.closed, reader.socket)

    # What has to be true

    def check(self) -> None:
        """Nothing came twice, out of order or from before its time, or was told to be lost."""
        for reader in self._all:
            socket = reader.socket
            places = [self._model.places[number] for number in socket.numbers]
            assert places == sorted(set(places))
            assert not places or places[0] > reader.start
            assert not socket.extended or socket.markers == places
            assert "gap" not in socket.came
            assert "subscription_ended" not in socket.came

    def missing(self) -> set[int]:
        """What is in the queue and has not come to somebody who takes it, whatever else has come and gone."""
        return {
            number
            for reader in self._all
            if reader.socket.willing
            for number in set(self._model.behind(reader.start)) - set(reader.socket.numbers)
        }

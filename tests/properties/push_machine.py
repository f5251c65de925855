"""Sockets that subscribe, are slow, leave and resume, while a queue lives, against `PushModel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.identifiers import new_incarnation
from storage.records import NewMessage, Queue, Start
from storage.redis.runner import head_key
from tests.properties.push_model import Item, PushModel
from tests.support.hub import Node, Socket
from tests.support.reactor import eventually, run
from tests.support.store import ALICE, SECOND, STARTED_AT, STOPPED, text

_SET_TIME = "return redis.call('HSET', KEYS[1], 'last', ARGV[1])"

PATIENCE = 10.0
"""Seconds in which all that a socket has to get must come."""

counts = st.integers(1, 3)
choices = st.integers(0, 1000)


@dataclass(eq=False)
class Reader:
    """A socket that is subscribed."""

    socket: Socket
    start: int
    """The position behind which it began."""


class PushMachine(RuleBasedStateMachine):
    """One node on a store whose time stands still; every rule is followed by looking at all sockets."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        node.store.scripts.clock_offset = STOPPED
        node.queue = Queue("project", f"q{new_incarnation():x}", new_incarnation())
        self.model = PushModel()
        self.readers: list[Reader] = []
        self.left: list[int] = []
        self.number = 0
        self.order: dict[int, int] = {}
        self.time = STARTED_AT
        run(self._begin)

    async def _begin(self) -> None:
        await self.node.store.create(self.node.queue)
        await self._set_time(STARTED_AT)

    async def _set_time(self, time: int) -> None:
        key = head_key(self.node.queue)
        await self.node.store.client.execute("EVAL", _SET_TIME, 1, key, time, key=key)
        self.time = time

    async def _now(self) -> int:
        key = head_key(self.node.queue)
        return int(await self.node.store.client.execute("HGET", key, "last", key=key))

    # What happens to the queue

    @rule(count=counts, delay=st.sampled_from([0, 0, 0, 10, 40]), ttl=st.sampled_from([60, 3600]))
    def post(self, count: int, delay: int, ttl: int) -> None:
        numbers = range(self.number, self.number + count)
        self.number += count
        messages = [NewMessage(text(number), ttl, delay) for number in numbers]
        sequences = run(self.node.store.post, self.node.queue, messages, ALICE)
        for sequence, number in zip(sequences, numbers, strict=True):
            due = sequence + delay * SECOND
            position = None if delay else sequence
            self.model.items[sequence] = Item(sequence, number, sequence + ttl * SECOND, due, position)
            if position is not None:
                self.model.visible = position
                self.order[number] = position

    @precondition(lambda self: self.model.items)
    @rule(which=choices)
    def delete(self, which: int) -> None:
        sequence = sorted(self.model.items)[which % len(self.model.items)]
        run(self.node.store.delete_message, self.node.queue, sequence, None)
        self.model.remove(sequence, "deleted")

    @rule()
    def pop(self) -> None:
        for message in run(self.node.store.pop_messages, self.node.queue, 2, None).messages:
            self.model.remove(message.sequence, "deleted")

    @rule()
    def purge(self) -> None:
        run(lambda: self.node.store.purge(self.node.queue, messages=True, subscriptions=False))
        for sequence in list(self.model.items):
            self.model.remove(sequence, "purged")

    # No sum of these is a delay or a ttl: nothing ends by the microseconds that numbers take.
    @rule(seconds=st.sampled_from([5.3, 15.7, 50.1]))
    def time_passes(self, seconds: float) -> None:
        run(self._pass, seconds)

    async def _pass(self, seconds: float) -> None:
        now = await self._now() + int(seconds * SECOND)
        await self._set_time(now)
        await self.node.store.sweep(self.node.queue)
        for item in list(self.model.items.values()):
            if item.expires <= now:
                self.model.remove(item.sequence, "expired")
        # Those whose delay has ended show up behind all others, in the order in which it ended.
        page = await self.node.store.list_messages(
            self.node.queue, Start(self.model.visible), 1000, include_claimed=True
        )
        ended = sorted(
            (item for item in self.model.items.values() if item.position is None and item.due <= now),
            key=lambda item: (item.due, item.sequence),
        )
        assert [message.sequence for message in page.messages] == [item.sequence for item in ended]
        for item, message in zip(ended, page.messages, strict=True):
            item.position = self.model.visible = message.position
            self.order[item.number] = message.position

    # What happens to sockets

    def _subscribe(self, start: Start | None, position: int) -> None:
        socket = Socket(extended=True)
        made: Any = run(self.node.resume, socket, start)
        assert made is not None
        self.readers.append(Reader(socket, position))
        assert made.position == position
        gap = None if start is None else self.model.gap(position)
        assert (made.gap and tuple(made.gap)) == gap

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def subscribe(self) -> None:
        self._subscribe(None, self.model.visible)

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def subscribe_from_the_beginning(self) -> None:
        self._subscribe(Start(), 0)

    @precondition(lambda self: self.left and len(self.readers) < 4)
    @rule(which=choices)
    def resume(self, which: int) -> None:
        position = self.left[which % len(self.left)]
        self._subscribe(Start(position), position)

    @precondition(lambda self: self.readers)
    @rule(which=choices)
    def leave(self, which: int) -> None:
        reader = self.readers.pop(which % len(self.readers))
        self.left.append(reader.socket.markers[-1] if reader.socket.markers else reader.start)
        reader.socket.closed = True
        run(self.node.hub.closed, reader.socket)

    @precondition(lambda self: self.readers)
    @rule(which=choices)
    def is_slow(self, which: int) -> None:
        self.readers[which % len(self.readers)].socket.willing = False

    @rule()
    def all_take_more(self) -> None:
        for reader in self.readers:
            reader.socket.willing = True
            run(self.node.hub.writable, reader.socket)

    @rule()
    def announcements_are_missed(self) -> None:
        self.node.deaf = True

    @rule()
    def the_node_listens_again(self) -> None:
        self.node.deaf = False
        run(self.node.hub.listening, self.node.queue.incarnation)

    # What has to be true

    @invariant()
    def all_is_pushed_once_and_in_order(self) -> None:
        for reader in self.readers:
            socket = reader.socket
            assert socket.markers == sorted(set(socket.markers))
            assert [self.order[number] for number in socket.numbers] == socket.markers
            assert not socket.markers or socket.markers[0] > reader.start
            assert "gap" not in socket.came
            assert "subscription_ended" not in socket.came

    def teardown(self) -> None:
        self.node.deaf = False
        run(self.node.hub.listening, self.node.queue.incarnation)
        self.all_take_more()
        for reader in self.readers:
            run(self._has_all, reader)
        self.all_is_pushed_once_and_in_order()
        for reader in self.readers:
            reader.socket.closed = True
            run(self.node.hub.closed, reader.socket)

    async def _has_all(self, reader: Reader) -> None:
        """What is in the queue behind its start has come to it, whatever else has come and gone."""
        wanted = set(self.model.behind(reader.start))
        await eventually(lambda: wanted <= set(reader.socket.numbers), PATIENCE)

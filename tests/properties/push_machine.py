"""Sockets that subscribe, are slow, leave and resume, while a queue lives, against `PushModel`."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.identifiers import new_incarnation
from storage.records import NewMessage, Queue, Start
from storage.redis.runner import head_key
from tests.properties.push_model import PushModel
from tests.properties.readers import Readers
from tests.support.hub import Node
from tests.support.reactor import eventually, run
from tests.support.store import ALICE, SECOND, STARTED_AT, STOPPED, text

_SET_TIME = "return redis.call('HSET', KEYS[1], 'last', ARGV[1])"

PATIENCE = 30.0
"""Seconds in which all that a socket has to get must come."""

counts = st.integers(1, 3)
choices = st.integers(0, 1000)


class PushMachine(RuleBasedStateMachine):
    """One node on a store whose time stands still; every rule is followed by looking at all sockets."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        node.store.scripts.clock_offset = STOPPED
        node.queue = Queue("project", f"q{new_incarnation():x}", new_incarnation())
        self.model = PushModel()
        self.readers = Readers(self.model, node.queue)
        self.number = 0
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
        self.model.post(sequences, numbers, ttl, delay)

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
        self.model.purge()

    # No sum of these is a delay or a ttl: nothing ends by the microseconds that numbers take.
    @rule(seconds=st.sampled_from([5.3, 15.7, 50.1]))
    def time_passes(self, seconds: float) -> None:
        run(self._pass, seconds)

    async def _pass(self, seconds: float) -> None:
        now = await self._now() + int(seconds * SECOND)
        await self._set_time(now)
        await self.node.store.sweep(self.node.queue)
        self.model.expire(now)
        page = await self.node.store.list_messages(
            self.node.queue, Start(self.model.visible), 1000, include_claimed=True
        )
        self.model.show(now, page.messages)

    # What happens to sockets

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def subscribe(self) -> None:
        self.readers.subscribe(self.node)

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def subscribe_from_the_beginning(self) -> None:
        self.readers.begin(self.node)

    @precondition(lambda self: self.readers.left and len(self.readers) < 4)
    @rule(which=choices)
    def resume(self, which: int) -> None:
        self.readers.resume(self.node, which)

    @precondition(lambda self: self.readers)
    @rule(which=choices)
    def leave(self, which: int) -> None:
        self.readers.leave(which)

    @precondition(lambda self: self.readers)
    @rule(which=choices)
    def is_slow(self, which: int) -> None:
        self.readers.be_slow(which)

    @rule()
    def all_take_more(self) -> None:
        self.readers.take_more()

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
        self.readers.check()

    def teardown(self) -> None:
        self.node.deaf = False
        run(self.node.hub.listening, self.node.queue.incarnation)
        self.all_take_more()
        run(eventually, lambda: not self.readers.missing(), PATIENCE)
        self.all_is_pushed_once_and_in_order()
        self.readers.close()

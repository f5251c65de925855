"""A store that goes on without what it had acknowledged: all get what took the places of what was lost.

A server that comes back from a snapshot has lost writes just as one has that took over too early. With a
clock that stands still the new messages get exactly the positions of lost ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from gateway.push.feed import Feed
from storage.errors import StoreUnavailable
from storage.events import Announced
from storage.records import NewMessage
from storage.redis.store import RedisStore
from tests.support.hub import Node, Socket
from tests.support.reactor import eventually, reactor, run
from tests.support.servers import start_valkey
from tests.support.store import ALICE, PATIENCE, STOPPED, text


class Failover:
    """A node that hears what the test lets it hear, and another one that posts."""

    def __init__(self, folder: Path) -> None:
        self.server = start_valkey(folder / "store")
        self.node = Node(self.server, folder)
        self.other = RedisStore(reactor, self.server.url, PATIENCE)
        self._listening: Callable[[int], None] = self.node.hub.listening
        self._heard: list[int] = []

    async def start(self) -> None:
        await self.node.start()
        await self.other.start(PATIENCE)

    async def stop(self) -> None:
        await self.other.stop()
        await self.node.stop()

    @property
    def feed(self) -> Feed:
        return self.node.hub._feeds[self.node.queue.incarnation]

    def stop_the_clock(self) -> None:
        self.node.store.scripts.clock_offset = self.other.scripts.clock_offset = STOPPED

    async def post(self, *numbers: int) -> None:
        await self.other.post(self.node.queue, [NewMessage(text(number), 3600) for number in numbers], ALICE)

    async def save(self) -> None:
        """What is there now will not be lost."""
        await deferToThread(self.server.client().save)

    async def fail(self) -> None:
        """Lose what was not saved. The node is connected to what goes on, and hears nothing of it."""
        hub: Any = self.node.hub
        self.node.deaf, hub.listening = True, self._heard.append
        self.server.kill()
        await deferToThread(self.server.restart)
        await eventually(self._answers)
        await self.node.store.client.connected(PATIENCE)
        await eventually(lambda: bool(self._heard))

    async def _answers(self) -> bool:
        try:
            await self.other.sweep(self.node.queue)
        except StoreUnavailable:
            return False
        return True

    def hear(self, *, listening: bool) -> None:
        """Hear again what is announced from now on; and that it was not heard before."""
        hub: Any = self.node.hub
        self.node.deaf, hub.listening = False, self._listening
        if listening:
            hub.listening(self.node.queue.incarnation)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Failover]:
    failover = Failover(tmp_path)
    with failover.server:
        run(failover.start)
        yield failover
        run(failover.stop)


def gap(after: int, to: int) -> dict[str, str]:
    """What extended sockets are told."""
    return {"event": "gap", "queue_name": "jobs", "from": str(after), "to": str(to), "reason": "failover"}


def gaps(socket: Socket) -> list[dict[str, Any]]:
    return [event for event in socket.events if event["event"] == "gap"]


@pytest.mark.parametrize("clock", ["behind", "still"])
@pytest.mark.parametrize("told_by", ["listening", "an announcement"])
def test_what_was_posted_before_the_node_hears_of_it_is_pushed(
    store: Failover, clock: str, told_by: str
) -> None:
    """Others have posted up to the node's position and beyond."""
    extended, plain, slow, late = (
        Socket(extended=True),
        Socket(),
        Socket(extended=True),
        Socket(extended=True),
    )

    async def scenario() -> None:
        if clock == "still":
            store.stop_the_clock()
        for socket in (extended, plain, slow):
            await store.node.subscribe(socket)
        await store.post(1, 2)
        await eventually(lambda: extended.numbers == plain.numbers == slow.numbers == [1, 2])
        await store.save()
        slow.willing = False
        await store.post(3, 4)
        await eventually(lambda: extended.numbers == plain.numbers == [1, 2, 3, 4])
        lost = extended.markers[-1]
        await store.fail()
        store.stop_the_clock()
        await store.post(5, 6, 7)
        await store.node.subscribe(late)
        await store.post(8)
        if clock == "behind":
            store.other.scripts.clock_offset = 0
        store.hear(listening=told_by == "listening")
        await store.post(9)
        slow.willing = True
        store.node.hub.writable(slow)
        after = [5, 6, 7, 8, 9]
        await eventually(lambda: extended.numbers == plain.numbers == [1, 2, 3, 4, *after])
        await eventually(lambda: slow.numbers == [1, 2, *after])
        await eventually(lambda: late.numbers == [8, 9])
        assert gaps(extended) == gaps(slow) == [gap(extended.markers[1], lost)]
        assert late.events == [], "it came after the loss"

    run(scenario)


def test_an_announcement_that_seems_to_follow_is_of_another_timeline(store: Failover) -> None:
    socket = Socket(extended=True)

    async def scenario() -> None:
        store.stop_the_clock()
        await store.node.subscribe(socket)
        await store.post(1)
        await eventually(lambda: socket.numbers == [1])
        await store.save()
        await store.post(2, 3)
        await eventually(lambda: socket.numbers == [1, 2, 3])
        lost = socket.markers[-1]
        await store.fail()
        await store.post(4, 5)
        store.hear(listening=False)
        await store.post(6)
        await eventually(lambda: socket.numbers == [1, 2, 3, 4, 5, 6])
        assert socket.markers[4] == lost, "5 has the place of 3"
        assert gaps(socket) == [gap(socket.markers[0], lost)]

    run(scenario)


def test_a_slow_socket_that_reads_on_before_the_node_hears_of_it_gets_nothing_twice(store: Failover) -> None:
    slow, quick = Socket(extended=True), Socket()

    async def scenario() -> None:
        store.stop_the_clock()
        for socket in (slow, quick):
            await store.node.subscribe(socket)
        await store.post(1)
        await eventually(lambda: slow.numbers == quick.numbers == [1])
        await store.save()
        slow.willing = False
        await store.post(2, 3)
        await eventually(lambda: quick.numbers == [1, 2, 3])
        lost = store.feed.tail.position
        await store.fail()
        await store.post(4)
        slow.willing = True
        store.node.hub.writable(slow)
        await eventually(lambda: slow.numbers == [1, 4])
        store.hear(listening=True)
        await store.post(5)
        await eventually(lambda: slow.numbers == [1, 4, 5])
        await eventually(lambda: quick.numbers == [1, 2, 3, 4, 5])
        assert gaps(slow) == [gap(slow.markers[0], lost)]

    run(scenario)


@pytest.mark.parametrize("pushed", [True, False])
def test_what_the_old_primary_still_announces_leads_nobody_astray(store: Failover, pushed: bool) -> None:
    """It is too large to be told, and read from the new one, which does not have it."""
    socket = Socket(extended=True)

    async def scenario() -> None:
        store.stop_the_clock()
        await store.node.subscribe(socket)
        await store.post(1)
        await eventually(lambda: socket.numbers == [1])
        await store.save()
        if pushed:
            await store.post(2)
            await eventually(lambda: socket.numbers == [1, 2])
        last, timeline = store.feed.tail.position, store.feed.tail.timeline
        before = list(socket.numbers)
        await store.fail()
        await store.post(3)
        store.node.hub.told(store.node.queue.incarnation, Announced(last, last + 1000, None, timeline))
        await eventually(lambda: socket.numbers == [*before, 3])
        await eventually(lambda: store.feed.tail.timeline != timeline)
        await store.post(4)
        store.hear(listening=True)
        await eventually(lambda: socket.numbers == [*before, 3, 4])
        assert gaps(socket) == ([gap(socket.markers[0], last)] if pushed else [])

    run(scenario)


def test_a_server_that_lost_nothing_is_no_gap(store: Failover) -> None:
    socket = Socket(extended=True)

    async def scenario() -> None:
        await store.node.subscribe(socket)
        await store.post(1, 2)
        await eventually(lambda: socket.numbers == [1, 2])
        await store.save()
        timeline = store.feed.tail.timeline
        await store.fail()
        store.hear(listening=True)
        await eventually(lambda: store.feed.tail.timeline != timeline)
        await store.post(3)
        await eventually(lambda: socket.numbers == [1, 2, 3])
        assert socket.events == []

    run(scenario)

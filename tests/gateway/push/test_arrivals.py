"""Requests that wait at a queue, on a real store: who is woken, when, and how often the store is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from gateway.limits.waiting import WaitingRequests
from gateway.push.arrivals import Arrivals, Wait
from gateway.push.waiter import Waiter
from gateway.settings import Settings
from storage.errors import StoreUnavailable
from storage.events import Event
from storage.records import Start
from tests.support.hub import Node
from tests.support.reactor import eventually, reactor, run
from tests.support.servers import Server
from tests.support.store import SECOND, new_claim

LONG = 60.0
"""Seconds: longer than any test takes."""


class Client:
    """Who waits."""

    def __init__(self) -> None:
        self.closed = False
        self.waited = 0.0
        self._callback: Callable[[], None] = lambda: None

    def when_closed(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def close(self) -> None:
        self.closed = True
        self._callback()


class WaitingNode(Node):
    """A node at whose queue requests wait."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(server, folder)
        limits = WaitingRequests(Settings(data_dir=folder))
        self.waiting = 0
        self.looks = 0
        self.arrivals = Arrivals(reactor, self.router, self.stores, limits, self._waits)

    def _waits(self, more: int) -> None:
        self.waiting += more

    def _told(self, incarnation: int, event: Event) -> None:
        self.arrivals.told(incarnation, event)

    def _listening(self, incarnation: int) -> None:
        self.arrivals.listening(incarnation)

    async def take(self) -> int:
        """How many messages a claim gets, of one."""
        self.looks += 1
        return len((await self.store.create_claim(self.queue, new_claim(), 60, 60, 1, None)).messages)

    async def read(self) -> int:
        """How many free messages there are, up to ten."""
        self.looks += 1
        return len((await self.store.list_messages(self.queue, Start(), 10)).messages)

    def wait(
        self,
        look: Callable[[], Awaitable[int]],
        *,
        takes: bool,
        seconds: float = LONG,
        client: Client | None = None,
    ) -> Deferred[int]:
        """A request that waits, beside the test."""
        wait = Wait("project", "jobs", seconds, takes)
        return Deferred.fromCoroutine(self.arrivals.look(wait, client or Client(), look, bool))


@pytest.fixture
def node(valkey: Server, tmp_path: Path) -> Iterator[WaitingNode]:
    node = WaitingNode(valkey, tmp_path)
    run(node.start)
    yield node
    run(node.stop)


def test_a_message_is_asked_for_by_one_of_many(node: WaitingNode) -> None:
    many, posts = 30, 10

    async def scenario() -> None:
        takers = [node.wait(node.take, takes=True) for _ in range(many)]
        await eventually(lambda: node.waiting == many)
        looks = node.looks
        for taker in takers[:posts]:
            await node.post(1)
            assert await taker == 1
        # For each message one finds it, and the next may find nothing; when they came, each may have looked.
        assert node.looks <= looks + many + 2 * posts
        assert node.waiting == many - posts
        await node.post(*range(many))
        assert [await taker for taker in takers[posts:]] == [1] * (many - posts)
        assert node.waiting == 0

    run(scenario)


def test_those_who_read_are_woken_together(node: WaitingNode) -> None:
    async def scenario() -> None:
        readers = [node.wait(node.read, takes=False) for _ in range(10)]
        await eventually(lambda: node.waiting == 10)
        await node.post(1)
        assert [await reader for reader in readers] == [1] * 10

    run(scenario)


def test_the_turn_of_one_that_goes_is_the_next_ones(node: WaitingNode) -> None:
    client = Client()

    async def scenario() -> None:
        leaving: Deferred[None] = Deferred()

        async def take_slowly() -> int:
            if node.waiting:
                await leaving  # it is its turn
            return 0

        first = node.wait(take_slowly, takes=True, client=client)
        await eventually(lambda: node.waiting == 1)
        second = node.wait(node.take, takes=True)
        await eventually(lambda: node.waiting == 2)
        await node.post(1)
        client.close()
        leaving.callback(None)
        assert await first == 0
        assert await second == 1

    run(scenario)


def test_a_claim_that_ends(node: WaitingNode) -> None:
    async def scenario() -> None:
        await node.post(1)
        assert await node.take() == 1
        node.store.scripts.clock_offset = 59 * SECOND  # it ends in a second
        reader = node.wait(node.read, takes=False)
        taker = node.wait(node.take, takes=True)
        assert await taker == 1
        assert await reader in (0, 1)

    run(scenario)


def test_one_that_fails_passes_on_its_turn(node: WaitingNode) -> None:
    async def scenario() -> None:
        async def fail() -> int:
            if node.waiting:
                raise StoreUnavailable("It is away.")
            return 0

        first = node.wait(fail, takes=True)
        with pytest.raises(StoreUnavailable):
            await first
        second = node.wait(node.take, takes=True)
        await node.post(1)
        assert await second == 1
        assert node.waiting == 0

    run(scenario)


def test_when_the_node_stops_nobody_waits(node: WaitingNode) -> None:
    async def scenario() -> None:
        waiting = [node.wait(node.take, takes=True), node.wait(node.read, takes=False)]
        await eventually(lambda: node.waiting == 2)
        node.arrivals.end()
        assert [await each for each in waiting] == [0, 0]
        assert await node.wait(node.take, takes=True) == 0

    run(scenario)


def test_a_waiter_that_was_woken_before_it_waits() -> None:
    async def scenario() -> None:
        waiter = Waiter(reactor, reactor.seconds() + LONG)
        waiter.wake()
        assert await waiter.woken()
        over = Waiter(reactor, reactor.seconds())
        assert not await over.woken()
        over.wake()
        assert await over.woken()
        over.end()
        assert not await over.woken()

    run(scenario)

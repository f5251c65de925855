"""A queue on its way between two stores, moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from storage.records import Waiting
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.support.moves import contents
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import SECOND, LiveQueue, connected_to
from tests.support.topologies import Cluster, Service

Place = Server | Service | Cluster
TOKEN, OTHER = b"token".ljust(16, b"-"), b"other".ljust(16, b"-")
LONG = 30.0
"""Seconds that a fence holds when its end is not of interest."""


@pytest.fixture(
    params=[
        ("valkey", "redis7"),
        ("redis7", "valkey"),
        pytest.param(("service", "cluster"), marks=pytest.mark.long),
        pytest.param(("cluster", "service"), marks=pytest.mark.long),
    ],
    ids="-".join,
)
def places(request: pytest.FixtureRequest) -> tuple[Place, Place]:
    """Where a queue is, and where it goes."""
    source, target = (request.getfixturevalue(name) for name in request.param)
    for place in (source, target):
        place.client().flushall()
    return source, target


@pytest.fixture
def stores(places: tuple[Place, Place]) -> Iterator[tuple[RedisStore, RedisStore]]:
    """The stores there."""
    with connected_to(places[0].url) as source, connected_to(places[1].url) as target:
        yield source, target


class Moving:
    """A queue on its way, moved by hand."""

    def __init__(self, live: LiveQueue, target: RedisStore) -> None:
        self.live, self.store = live, target
        self.queue = live.queue
        self.source, self.target = RedisMoves(live.store), RedisMoves(target)
        target.scripts.clock_offset = live.store.scripts.clock_offset

    def begin(self, earlier: bytes = b"", token: bytes = TOKEN) -> tuple[bool, bool]:
        kept, self.newest = run(self.source.begin, self.queue, token, earlier)
        return kept, run(lambda: self.target.arrive(self.queue, token, earlier, keep=kept))

    def copy(self, *parts: str) -> int:
        """Copy these parts, or all; how many items."""
        count = 0
        for part in parts or self.source.parts:
            cursor, more = "", True
            while more:
                page = run(self.source.copy, self.queue, TOKEN, part, cursor, self.newest)
                run(self.target.put, self.queue, TOKEN, page.items)
                cursor, more, count = page.cursor, page.more, count + len(page.items)
        return count

    def catch_up(self) -> int:
        """Copy what has changed; how many items."""
        count, left = 0, 1
        while left:
            items, left = run(self.source.take, self.queue, TOKEN)
            if items:
                run(self.target.put, self.queue, TOKEN, items)
                run(self.source.acknowledge, self.queue, TOKEN)
            count += len(items)
        return count

    def settle_in(self) -> None:
        """Put up the fence, copy the outbox, and complete the copy."""
        numbers = run(self.source.fence, self.queue, TOKEN, LONG)
        letters = 0
        while items := run(self.source.outbox, self.queue, TOKEN, letters):
            run(self.target.put, self.queue, TOKEN, items)
            letters += len(items)
        run(self.target.settle_in, self.queue, TOKEN, numbers, LONG, letters)

    def leave(self) -> LiveQueue:
        """Do the rest; the queue where it is then."""
        self.catch_up()
        self.settle_in()
        assert run(self.source.depart, self.queue, TOKEN, "there")
        run(self.target.open, self.queue, TOKEN)
        return self.live.through(self.store)

    def both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is there, and here, without heads and outbox."""
        found = contents(self.live.store, self.queue), contents(self.store, self.queue)
        for each in found:
            for name in ("head", "outbox"):
                each.pop(name, None)
        return found


@pytest.fixture
def jobs(stores: tuple[RedisStore, RedisStore]) -> LiveQueue:
    """A queue at the source, with nothing in it."""
    return LiveQueue(stores[0])


@pytest.fixture
def move(jobs: LiveQueue, stores: tuple[RedisStore, RedisStore]) -> Moving:
    """Its move, which has not begun."""
    return Moving(jobs, stores[1])


def deliver(live: LiveQueue, number: int = 1, queue: LiveQueue | None = None) -> Waiting:
    """Have a dead letter arrive."""
    waiting = Waiting(b"", number, live.now + 60 * SECOND, live.queue.name, None, b"\0" * 21 + b"1")
    run(live.store.deliver_dead_letter, live.queue, waiting, live.queue)
    return waiting


def letters(live: LiveQueue) -> list[Waiting]:
    return run(live.store.waiting_dead_letters, live.queue, 1000)

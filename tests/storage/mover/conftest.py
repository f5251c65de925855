"""A queue with some of everything in it, its catalog, and the two stores between which it moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.mover import Mover, Progress
from storage.pools import Pool
from storage.records import Queue
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.support.moves import bury, contents, fill, value_of
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import LiveQueue, connected

Stores = tuple[RedisStore, RedisStore]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SQLCatalog]:
    """A catalog with a pool to move to."""
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    run(catalog.create_pool, Pool("there", "redis://there", weight=0))
    yield catalog
    run(catalog.stop)


@pytest.fixture
def stores(valkey: Server, redis7: Server) -> Iterator[Stores]:
    """The store of the pool `default`, and that of the pool `there`."""
    for server in (valkey, redis7):
        server.client().flushall()
    with connected(valkey) as source, connected(redis7) as target:
        yield source, target


@pytest.fixture
def jobs(stores: Stores, catalog: SQLCatalog) -> LiveQueue:
    """A queue with some of everything in it, in the pool `default`."""
    return new_jobs(stores, catalog, "jobs")


def new_jobs(stores: Stores, catalog: SQLCatalog, name: str) -> LiveQueue:
    live = LiveQueue(stores[0], name)
    stores[1].scripts.clock_offset = stores[0].scripts.clock_offset
    queue, _ = run(catalog.create_queue, "project", name, {"a": 1})
    run(stores[0].create, queue)
    old, live.queue = live.queue, queue
    run(stores[0].remove, old)
    live.move_to(1_800_000_000_000_000)
    fill(live)
    return live


def make_mover(stores: Stores, catalog: SQLCatalog, told: list[Progress] | None = None) -> Mover:
    seen: list[Progress] = [] if told is None else told
    return Mover(reactor, catalog, RedisMoves(stores[0]), RedisMoves(stores[1]), seen.append)


def found(catalog: SQLCatalog, live: LiveQueue) -> Queue:
    queue = run(catalog.get_queue, live.queue.project, live.queue.name)
    assert queue is not None
    return queue


def check_moved(stores: Stores, catalog: SQLCatalog, live: LiveQueue, before: object) -> None:
    """The queue is in the other pool with all that it had, and nothing of the move is left."""
    assert contents(stores[1], live.queue) == before
    assert set(value_of(stores[1], live.queue, "head")) == {b"last", b"visible", b"wake", b"bytes"}
    assert set(value_of(stores[0], live.queue, "head")) == {b"moved", b"by"}
    assert contents(stores[0], live.queue).keys() == {"head"}
    assert found(catalog, live) == replace(live.queue, pool="there")
    assert run(catalog.list_moves, -1, 10) == []


def use(live: LiveQueue, number: int) -> None:
    """Change something, each time something else."""
    match number % 7:
        case 0:
            live.post(f"new {number}", f"newer {number}")
        case 1:
            live.claim(limit=1, ttl=60 + number)
        case 2:
            live.pop(1)
        case 3:
            live.post(f"late {number}", delay=number + 1)
        case 4:
            live.delete(live.page(limit=1).messages[0].sequence)
        case 5:
            bury(live)
            live.post("first")
        case 6:
            live.advance(7)
            live.stats()

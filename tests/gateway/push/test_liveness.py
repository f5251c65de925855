"""Who counts as dead, and what is done about it; time is the test's, but for the store's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from gateway.push.liveness import Liveness
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.records import Queue
from storage.redis.nodes import NodeRegistry, SocketSubscription
from storage.redis.store import RedisStore
from storage.router import Router
from storage.stores import OpenStore, Stores
from tests.support.reactor import eventually, reactor, run
from tests.support.routing import NoAnnouncements, new_router, no_other_pool, nothing
from tests.support.servers import Server
from tests.support.store import PATIENCE

INTERVAL = 10.0
"""Seconds of the test's clock."""

LONG, SHORT = 60.0, 0.05
"""Seconds of the store's clock that a process counts as alive."""


class Node:
    """One process that looks, and another whose signs of life end at once."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.store = RedisStore(reactor, server.url, PATIENCE)
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        # It gives others as little time as they give themselves.
        self.registry = NodeRegistry(reactor, self.store.client, uuid.uuid4().hex, SHORT)
        self.other = NodeRegistry(reactor, self.store.client, uuid.uuid4().hex, SHORT)
        opened = OpenStore(self.store, NoAnnouncements(), nothing, nodes=self.registry)
        stores = Stores(opened, self.catalog, no_other_pool)
        self.router: Router = new_router(self.catalog, stores)
        self.clock = Clock()
        self.lapses = 0
        self.liveness = Liveness(self.clock, self.router, stores, INTERVAL, self._lapsed)
        self.queue: Queue

    def _lapsed(self) -> None:
        self.lapses += 1

    async def start(self) -> None:
        await self.catalog.start(upgrade=True)
        await self.store.start(PATIENCE)
        self.queue = (await self.router.ensure("project", "jobs"))[0]

    async def stop(self) -> None:
        await self.liveness.stop()
        await self.store.stop()
        await self.catalog.stop()

    async def round(self) -> None:
        """The next round, to its end."""
        if self.liveness._loop.running:
            self.clock.advance(INTERVAL)
        else:
            self.liveness.start()
        await eventually(lambda: not self.liveness._working)

    async def die(self, *sequences: int) -> None:
        """The other one makes these subscriptions its own, and its signs of life end."""
        await self.other.beat()
        for sequence in sequences:
            await self.other.remember(SocketSubscription.of(self.queue, sequence))
        await eventually(self._is_missing)

    async def _is_missing(self) -> bool:
        return self.other.node in await self.registry.missing(100)

    async def subscribe(self, subscriber: str) -> int:
        made = await self.store.subscribe(self.queue, subscriber, 3600, {}, confirmed=False)
        assert made is not None
        return made.sequence

    async def subscribers(self) -> list[str]:
        found = await self.store.list_subscriptions(self.queue, 0, 100)
        return [subscription.subscriber for subscription in found]


@pytest.fixture
def node(valkey: Server, tmp_path: Path) -> Iterator[Node]:
    valkey.client().flushall()
    node = Node(valkey, tmp_path)
    run(node.start)
    yield node
    run(node.stop)


def test_one_that_is_missing_twice_is_dead(node: Node) -> None:
    async def scenario() -> None:
        left, kept = await node.subscribe("http://socket"), await node.subscribe("http://hook")
        assert kept
        await node.die(left)
        await node.round()
        assert await node.subscribers() == ["http://socket", "http://hook"]
        await node.round()
        assert await node.subscribers() == ["http://hook"]
        assert await node.other.was_swept(SocketSubscription.of(node.queue, left))
        assert not await node._is_missing()  # nothing tells of it any more

    run(scenario)


def test_one_that_goes_on_in_time_is_not(node: Node) -> None:
    async def scenario() -> None:
        await node.die(await node.subscribe("http://socket"))
        await node.round()
        living = NodeRegistry(reactor, node.store.client, node.other.node, LONG)
        assert not await living.beat()
        await node.round()
        await node.round()
        assert await node.subscribers() == ["http://socket"]

    run(scenario)


def test_what_its_owner_has_ended_is_not_taken_for_swept(node: Node) -> None:
    async def scenario() -> None:
        ended = await node.subscribe("http://socket")
        await node.die(ended)
        await node.store.unsubscribe(node.queue, ended)
        await node.round()
        await node.round()
        assert not await node.other.was_swept(SocketSubscription.of(node.queue, ended))
        assert not await node._is_missing()

    run(scenario)


def test_many_are_swept_and_queues_that_are_gone_are_no_hindrance(node: Node) -> None:
    async def scenario() -> None:
        sequences = [await node.subscribe(f"http://socket/{number}") for number in range(250)]
        await node.die(*sequences)
        gone = (await node.router.ensure("project", "gone"))[0]
        await node.other.remember(SocketSubscription.of(gone, 1))
        await node.store.remove(gone)
        await node.catalog.delete_queue(gone)
        await node.round()
        await node.round()
        assert await node.subscribers() == []
        assert not await node._is_missing()

    run(scenario)


def test_one_notices_that_others_could_have_taken_it_for_dead(node: Node) -> None:
    async def scenario() -> None:
        await node.round()
        assert node.lapses == 0  # the first sign of life
        await eventually(lambda: _has_lapsed(node))
        await node.round()
        assert node.lapses == 1

    run(scenario)


async def _has_lapsed(node: Node) -> bool:
    return not await node.registry.is_alive(node.registry.node)

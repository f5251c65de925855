"""What other processes know of this one's subscriptions, also after their queue has moved to another pool."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.push.hub import Hub
from protocol.body import Form
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.events import Event
from storage.mover import Mover
from storage.pools import Pool
from storage.records import NewMessage, Queue, Subscription
from storage.redis.events import RedisEvents
from storage.redis.moving import RedisMoves
from storage.redis.nodes import NodeRegistry, SocketSubscription, SubscriptionTerms
from storage.redis.store import RedisStore
from storage.stores import OpenStore, Stores
from tests.support.hub import Socket
from tests.support.reactor import eventually, reactor, run
from tests.support.routing import new_router, nothing
from tests.support.servers import Server
from tests.support.store import ALICE, PATIENCE, text

LIFETIME = 60.0
"""Seconds that the process counts as alive."""


class Pools:
    """A process that has subscribed sockets in the pool `default`, and may be led to the pool `there`."""

    def __init__(self, here: Server, there: Server, folder: Path) -> None:
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        self.uri = there.url
        self.here = self._opened(here.url)
        self.there = self._opened(there.url)
        self.stores = Stores(self.here, self.catalog, self._open)
        self.hub = Hub(reactor, new_router(self.catalog, self.stores), self.stores, lambda pushed: None)
        self.queue: Queue

    def _opened(self, url: str) -> OpenStore:
        store = RedisStore(reactor, url, PATIENCE)
        events = RedisEvents(reactor, url, PATIENCE, self._told, self._listening)
        return OpenStore(
            store, events, nothing, url, NodeRegistry(reactor, store.client, uuid.uuid4().hex, LIFETIME)
        )

    async def _open(self, pool: str, uri: str) -> OpenStore:
        assert uri == self.uri
        return self.there

    def _told(self, incarnation: int, event: Event) -> None:
        self.hub.told(incarnation, event)

    def _listening(self, incarnation: int) -> None:
        self.hub.listening(incarnation)

    @staticmethod
    def _parts(opened: OpenStore) -> tuple[RedisStore, RedisEvents, NodeRegistry]:
        store, events, nodes = opened.store, opened.events, opened.nodes
        assert isinstance(store, RedisStore)
        assert isinstance(events, RedisEvents)
        assert nodes is not None
        return store, events, nodes

    async def start(self) -> None:
        await self.catalog.start(upgrade=True)
        for opened in (self.here, self.there):
            store, events, _ = self._parts(opened)
            await store.start(PATIENCE)
            events.start()
        await self.catalog.create_pool(Pool("there", self.uri, weight=0))
        self.queue, _ = await self.catalog.create_queue("project", "jobs", {})
        await self.here.store.create(self.queue)

    async def stop(self) -> None:
        await self.hub.stop()
        for opened in (self.here, self.there):
            store, events, _ = self._parts(opened)
            await events.stop()
            await store.stop()
        await self.catalog.stop()

    async def subscribe(self, socket: Socket) -> int:
        made = await self.hub.subscribe(socket, self.queue, socket.subscriber, 600, {}, Form.JSON)
        assert made is not None
        return made.sequence

    async def move(self) -> None:
        """Move the queue to the pool `there`."""
        (here, _, _), (there, _, _) = self._parts(self.here), self._parts(self.there)
        await Mover(reactor, self.catalog, RedisMoves(here), RedisMoves(there)).run(self.queue, "there")
        self.queue = replace(self.queue, pool="there")

    async def held(self, opened: OpenStore) -> set[int]:
        """The sequences of the process's subscriptions, as others know them in this pool."""
        _, _, nodes = self._parts(opened)
        return {each.sequence for each in await nodes.held_by(nodes.node, 100)}

    async def post(self, number: int) -> None:
        opened = self.there if self.queue.pool == "there" else self.here
        await opened.store.post(self.queue, [NewMessage(text(number), 3600)], ALICE)

    async def subscriptions(self) -> list[Subscription]:
        """Those of the queue, in the pool `there`."""
        return await self.there.store.list_subscriptions(self.queue, 0, 100)

    async def sweep(self, sequence: int) -> None:
        """What another process of the pool `there` does that takes this one for dead."""
        _, _, nodes = self._parts(self.there)
        found = await self.there.store.get_subscription(self.queue, sequence)
        assert found is not None
        subscription = SocketSubscription.of(self.queue, sequence)
        await nodes.sweeps(
            nodes.node, subscription, SubscriptionTerms(found.subscriber, found.ttl, found.options)
        )
        await self.there.store.unsubscribe(self.queue, sequence)
        await nodes.swept(nodes.node, subscription)


@pytest.fixture
def pools(valkey: Server, redis7: Server, tmp_path: Path) -> Iterator[Pools]:
    for server in (valkey, redis7):
        server.client().flushall()
    pools = Pools(valkey, redis7, tmp_path)
    run(pools.start)
    yield pools
    run(pools.stop)


@pytest.mark.parametrize("told_by", ["the store", "the route"])
def test_what_is_remembered_moves_with_its_queue(pools: Pools, told_by: str) -> None:
    one, other = Socket(), Socket()

    async def scenario() -> None:
        sequences = {await pools.subscribe(one), await pools.subscribe(other)}
        assert await pools.held(pools.here) == sequences
        if (
            told_by == "the route"
        ):  # a subscription comes by a new route before the feed has heard of the move
            (_, events, _) = pools._parts(pools.here)
            await events.stop()
        await pools.move()
        if told_by == "the route":
            sequences.add(await pools.subscribe(Socket()))

        async def has_moved() -> bool:
            return (await pools.held(pools.here), await pools.held(pools.there)) == (set(), sequences)

        await eventually(has_moved)
        await pools.post(1)
        await eventually(lambda: one.numbers == other.numbers == [1])

    run(scenario)


def test_a_socket_that_closes_after_the_move_is_forgotten_where_the_queue_is(pools: Pools) -> None:
    socket, other = Socket(), Socket()

    async def scenario() -> None:
        await pools.subscribe(socket)
        kept = await pools.subscribe(other)
        await pools.move()
        await pools.post(1)
        await eventually(lambda: socket.numbers == [1])
        socket.closed = True
        pools.hub.closed(socket)

        async def is_forgotten() -> bool:
            return await pools.held(pools.there) == {kept}

        await eventually(is_forgotten)
        assert await pools.held(pools.here) == set()
        assert [each.sequence for each in await pools.subscriptions()] == [kept]

    run(scenario)


def test_one_that_was_swept_after_the_move_is_made_anew_as_it_was(pools: Pools) -> None:
    socket = Socket()

    async def scenario() -> None:
        sequence = await pools.subscribe(socket)
        await pools.move()
        await pools.post(1)
        await eventually(lambda: socket.numbers == [1])
        await pools.there.store.update_subscription(pools.queue, sequence, ttl=900, options={"colour": "red"})
        await pools.sweep(sequence)

        async def is_renewed() -> bool:
            return bool(await pools.subscriptions())

        await eventually(is_renewed)
        (renewed,) = await pools.subscriptions()
        assert renewed.sequence != sequence
        assert (renewed.subscriber, renewed.ttl, renewed.options) == (
            socket.subscriber,
            900,
            {"colour": "red"},
        )
        await eventually(lambda: sequence not in pools.hub._sinks[socket])
        await pools.post(2)
        await eventually(lambda: socket.numbers == [1, 2])

        async def is_remembered() -> bool:
            return await pools.held(pools.there) == {renewed.sequence}

        await eventually(is_remembered)

    run(scenario)

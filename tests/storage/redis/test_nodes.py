"""The processes that use a store, and what each would leave behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.errors import RequestError
from storage.redis.nodes import SWEPT_FOR, NodeRegistry, SocketSubscription, SubscriptionTerms
from storage.redis.store import RedisStore
from tests.support.reactor import eventually, reactor, run
from tests.support.servers import start_valkey
from tests.support.store import connected, new_queue

LONG, SHORT = 60.0, 0.1
"""Seconds that a process counts as alive."""


def registry(store: RedisStore, lifetime: float = LONG) -> NodeRegistry:
    return NodeRegistry(reactor, store.client, uuid.uuid4().hex, lifetime)


@pytest.fixture
def pair(store: RedisStore) -> Iterator[tuple[NodeRegistry, NodeRegistry]]:
    """Two processes; the second one dies soon."""
    yield registry(store), registry(store, SHORT)


def subscription(sequence: int = 1, name: str = "jobs") -> SocketSubscription:
    return SocketSubscription.of(new_queue(name), sequence)


def test_one_that_shows_signs_of_life_is_not_missing(store: RedisStore) -> None:
    one, other = registry(store), registry(store)

    async def scenario() -> None:
        assert not await one.beat()  # the first
        assert await one.beat()
        await other.beat()
        assert await other.is_alive(one.node)
        assert await other.missing(10) == []

    run(scenario)


def test_one_that_shows_none_is_missing_and_notices_when_it_goes_on(
    pair: tuple[NodeRegistry, NodeRegistry],
) -> None:
    one, stalled = pair

    async def scenario() -> None:
        await stalled.beat()
        looking = NodeRegistry(reactor, stalled._client, "looking", SHORT)
        await eventually(lambda: _is_missing(looking, stalled.node))
        # Who gives others longer has to see that its sign has ended all the same.
        assert not await one.is_alive(stalled.node)
        assert not await stalled.beat()
        assert await looking.missing(10) == []

    run(scenario)


async def _is_missing(registry: NodeRegistry, node: str) -> bool:
    return await registry.missing(10) == [node]


def test_what_is_remembered_is_told_until_it_is_swept(store: RedisStore) -> None:
    one, other = registry(store), registry(store)
    held = [subscription(number, f"queue-{number}-é") for number in range(2500)]

    async def scenario() -> None:
        for each in held:
            one.remember(each)
        await one.write()
        found: set[SocketSubscription] = set()
        while some := await other.held_by(one.node, 100):
            for each in some:
                await other.swept(one.node, each)
                await one.swept(one.node, each)  # as a second one would
            found.update(some)
        assert found == set(held)

    run(scenario, timeout=60)


def test_what_was_swept_is_known_to_the_process_itself(store: RedisStore) -> None:
    one, other = registry(store), registry(store)
    first, second = subscription(1), subscription(2)

    async def scenario() -> None:
        terms = SubscriptionTerms("http://here", 60, {"a": {"b": [1, None]}})
        await other.sweeps(one.node, first, terms)
        assert await one.was_swept(first) == terms
        assert not await one.was_swept(second)
        assert not await other.was_swept(first)
        key = f"zg:{{node:{one.node}}}:swept".encode()
        assert 0 < await store.client.execute("TTL", key, key=key) <= SWEPT_FOR

    run(scenario)


def test_what_is_forgotten_is_not_held(store: RedisStore) -> None:
    one = registry(store)
    first, second = subscription(1), subscription(2)

    async def scenario() -> None:
        one.remember(first)
        one.remember(second)
        one.forget(first)
        await eventually(lambda: _held(one, [second]))
        one.forget(second)
        await eventually(lambda: _held(one, []))

    run(scenario)


async def _held(registry: NodeRegistry, expected: list[SocketSubscription]) -> bool:
    return await registry.held_by(registry.node, 10) == expected


def test_one_that_leaves_is_gone_unless_something_is_left(store: RedisStore) -> None:
    one, other = registry(store), registry(store, SHORT)
    left_behind = subscription()

    async def scenario() -> None:
        await one.beat()
        await one.remember(left_behind)
        await one.leave()
        assert await other.is_alive(one.node)
        one.forget(left_behind)
        await one.leave()
        assert not await other.is_alive(one.node)
        assert await store.client.execute("EXISTS", "zg:nodes", key=b"zg:nodes") == 0

    run(scenario)


def test_what_a_store_that_was_away_did_not_take_is_written_later(tmp_path: Path) -> None:
    with start_valkey(tmp_path, appendonly="yes", appendfsync="always") as server, connected(server) as store:
        one = registry(store)
        queue = new_queue()
        first, second = SocketSubscription.of(queue, 1), SocketSubscription.of(queue, 2)

        async def away() -> None:
            one.remember(first)
            waiting = one.remember(second)
            await waiting  # nobody waits for a store that is away
            with pytest.raises(RequestError):
                await one.write()
            one.forget(first)

        async def back() -> None:
            await store.client.connected(10)
            await one.write()
            assert await one.held_by(one.node, 10) == [second]

        server.kill()
        run(away)
        server.restart()
        run(back)


def test_a_queue_made_anew_is_another(store: RedisStore) -> None:
    one = registry(store)
    queue = new_queue()
    again = replace(queue, incarnation=queue.incarnation ^ 1)

    async def scenario() -> None:
        await one.sweeps(one.node, SocketSubscription.of(queue, 7), SubscriptionTerms("http://here", 60, {}))
        assert not await one.was_swept(SocketSubscription.of(again, 7))

    run(scenario)

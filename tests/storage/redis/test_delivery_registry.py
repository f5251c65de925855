"""Which process delivers for which queue: leases, generations, and a clock that is moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import StoreFull
from storage.records import Queue
from storage.redis import delivery_registry
from storage.redis.delivery_registry import LONGEST_LEASE, STAYS, DeliveryQueue, DeliveryRegistry
from storage.redis.store import RedisStore
from tests.support.deliveries import ALPHA, OMEGA
from tests.support.reactor import run
from tests.support.servers import Server, start_valkey
from tests.support.store import SECOND, connected, new_queue

LEASE = 15.0
"""Seconds."""


class Registry:
    """A registry, called one call after the other, whose time is moved by the test."""

    def __init__(self, store: RedisStore) -> None:
        self.registry = DeliveryRegistry(store.client)

    def advance(self, seconds: float) -> None:
        self.registry.clock_offset += int(seconds * SECOND)

    def add(self, *queues: DeliveryQueue) -> None:
        for queue in queues:
            run(self.registry.add, queue)

    def take(self, owner: bytes, limit: int = 100) -> dict[DeliveryQueue, int]:
        return run(self.registry.take, owner, limit, LEASE)

    def keep(self, owner: bytes, *queues: DeliveryQueue) -> dict[DeliveryQueue, int]:
        return run(self.registry.keep, owner, queues, LEASE)

    def release(self, owner: bytes, *queues: DeliveryQueue) -> None:
        run(self.registry.release, owner, queues)

    def remove(self, queues: dict[DeliveryQueue, int]) -> set[DeliveryQueue]:
        return run(self.registry.remove, queues)


@pytest.fixture
def registry(store: RedisStore) -> Registry:
    return Registry(store)


def some(count: int = 1) -> list[DeliveryQueue]:
    """Queues that are in no registry yet."""
    return [DeliveryQueue.of(new_queue(f"queue-{number}")) for number in range(count)]


def test_what_is_added_is_taken_by_one(registry: Registry) -> None:
    (queue,) = some()
    assert registry.take(ALPHA) == {}
    registry.add(queue)
    assert registry.take(ALPHA).keys() == {queue}
    assert registry.take(OMEGA) == registry.take(ALPHA) == {}
    assert registry.keep(OMEGA, queue) == {}
    assert registry.keep(ALPHA, queue).keys() == {queue}


def test_a_queue_is_found_again_by_what_is_kept_of_it(registry: Registry) -> None:
    queue = Queue("pröject", "a.name-of_64", (1 << 62) - 1, {"a": 1}, pool="there")
    registry.add(DeliveryQueue.of(queue))
    (found,) = registry.take(ALPHA)
    assert found == (queue.incarnation, queue.project, queue.name)


def test_a_lease_ends_unless_it_is_kept(registry: Registry) -> None:
    (queue,) = some()
    registry.add(queue)
    registry.take(ALPHA)
    registry.advance(LEASE - 5)
    assert registry.take(OMEGA) == {}
    registry.keep(ALPHA, queue)
    registry.advance(LEASE - 5)
    assert registry.take(OMEGA) == {}
    registry.advance(5)
    assert registry.take(OMEGA).keys() == {queue}
    assert registry.keep(ALPHA, queue) == {}, "it comes too late"
    registry.release(ALPHA, queue)
    assert registry.keep(OMEGA, queue).keys() == {queue}


def test_who_comes_late_keeps_what_nobody_has_taken(registry: Registry) -> None:
    (queue,) = some()
    registry.add(queue)
    registry.take(ALPHA)
    registry.advance(10 * LEASE)
    assert registry.keep(ALPHA, queue).keys() == {queue}
    assert registry.take(OMEGA) == {}


def test_what_is_released_is_free_at_once(registry: Registry) -> None:
    one, other = some(2)
    registry.add(one, other)
    registry.take(ALPHA)
    registry.release(ALPHA, one)
    assert registry.keep(ALPHA, one, other).keys() == {other}
    assert registry.take(OMEGA).keys() == {one}


def test_a_few_are_taken_at_a_time(registry: Registry) -> None:
    queues = some(5)
    registry.add(*queues)
    first = registry.take(ALPHA, 3)
    assert len(first) == 3
    assert registry.take(OMEGA, 3).keys() == set(queues) - first.keys()
    assert registry.take(OMEGA, 0) == {}


def test_more_than_one_script_handles(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_registry, "AT_ONCE", 3)
    queues = some(10)
    registry.add(*queues)
    assert registry.take(ALPHA).keys() == set(queues)
    kept = registry.keep(ALPHA, *queues)
    assert kept.keys() == set(queues)
    registry.advance(STAYS)
    assert registry.remove(dict(list(kept.items())[:8])) == set(queues[:8])
    registry.release(ALPHA, *queues)
    assert registry.take(OMEGA).keys() == set(queues[8:])
    assert registry.keep(ALPHA) == {}
    assert registry.remove({}) == set()


def test_adding_again_takes_the_queue_from_nobody(registry: Registry) -> None:
    (queue,) = some()
    registry.add(queue)
    (before,) = registry.take(ALPHA).values()
    registry.add(queue)
    assert registry.take(OMEGA) == {}
    (after,) = registry.keep(ALPHA, queue).values()
    assert after > before


def test_a_queue_with_nothing_to_deliver_is_removed(registry: Registry) -> None:
    (queue,) = some()
    registry.add(queue)
    taken = registry.take(ALPHA)
    registry.advance(STAYS)
    assert registry.remove(taken) == {queue}
    assert registry.remove(taken) == {queue}, "asked again"
    assert registry.keep(ALPHA, queue) == {}
    assert registry.take(ALPHA) == {}


def test_one_that_was_added_since_stays(registry: Registry) -> None:
    (queue,) = some()
    registry.add(queue)
    taken = registry.take(ALPHA)
    registry.advance(STAYS)
    registry.add(queue)
    registry.advance(STAYS)
    assert registry.remove(taken) == set()
    kept = registry.keep(ALPHA, queue)
    assert registry.remove(kept) == {queue}
    registry.add(queue)
    assert registry.remove(kept) == set()
    assert registry.take(OMEGA).keys() == {queue}


def test_one_that_was_added_just_now_stays(registry: Registry) -> None:
    """Whoever added it may not have made its subscription yet."""
    (queue,) = some()
    registry.add(queue)
    taken = registry.take(ALPHA)
    registry.advance(STAYS - 1)
    assert registry.remove(taken) == set()
    assert registry.keep(ALPHA, queue) == taken
    registry.advance(1)
    assert registry.remove(taken) == {queue}


def test_a_clock_that_is_set_back_holds_up_nobody(registry: Registry) -> None:
    old, new = some(2)
    registry.add(old)
    registry.take(ALPHA)
    registry.advance(-3600)
    assert registry.take(OMEGA).keys() == {old}
    assert registry.keep(ALPHA, old) == {}
    registry.add(new)
    assert registry.take(OMEGA).keys() == {new}
    before = registry.keep(OMEGA, old)
    registry.add(old)
    assert registry.keep(OMEGA, old)[old] > before[old], "generations grow all the same"
    # The longest lease is no sign of that.
    assert run(registry.registry.keep, OMEGA, [old, new], LONGEST_LEASE).keys() == {old, new}
    assert registry.take(ALPHA) == {}


def test_a_crash_of_the_store_keeps_queues_and_leases(tmp_path: Path) -> None:
    with start_valkey(tmp_path, appendonly="yes", appendfsync="always") as server:
        one, other = some(2)
        with connected(server) as store:
            registry = Registry(store)
            registry.add(one)
            taken = registry.take(ALPHA)
            registry.add(other)
            server.kill()
            server.restart()
        with connected(server) as store:
            registry = Registry(store)
            assert registry.take(OMEGA).keys() == {other}
            assert registry.keep(ALPHA, one) == taken


def test_a_full_store_takes_no_queue_and_lets_all_else_go_on(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        registry = Registry(store)
        one, other = some(2)
        registry.add(one)
        server.client().config_set("maxmemory", "1mb")
        with pytest.raises(StoreFull):
            registry.add(other)
        taken = registry.take(ALPHA)
        assert registry.keep(ALPHA, one) == taken
        registry.advance(STAYS)
        registry.release(ALPHA, one)
        assert registry.remove(taken) == {one}
        server.client().config_set("maxmemory", "0")


def test_two_keys_of_one_slot_hold_it_all(registry: Registry, store_server: Server) -> None:
    client = store_server.client()
    for queue in some(20):
        registry.add(queue)
    taken = registry.take(ALPHA)
    keys = {key for key in client.scan_iter() if b"deliveries" in key}
    assert keys == {b"zg:{deliveries}:queues", b"zg:{deliveries}:terms"}
    registry.advance(STAYS)
    registry.remove(taken)
    assert not {key for key in client.scan_iter() if b"deliveries" in key}

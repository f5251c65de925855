"""What the store does on one server it does behind sentinels and on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from storage.errors import (
    StoreUnavailable,
)
from storage.events import Announced, Event
from storage.records import DeadLetter, Deleted, Queue
from storage.redis.delivery_registry import DeliveryQueue, DeliveryRegistry
from storage.redis.events import RedisEvents
from storage.redis.store import RedisStore
from tests.support.deliveries import ALPHA, OMEGA, Deliveries
from tests.support.reactor import reactor, run, sleep, wait_until
from tests.support.servers import Server
from tests.support.store import LiveQueue, bodies, connected_to, new_claim, new_queue
from tests.support.topologies import Cluster, Service


@pytest.fixture(params=["valkey", "service", "cluster"])
def place(request: pytest.FixtureRequest) -> Server | Service | Cluster:
    """One server, a service and a cluster."""
    place: Server | Service | Cluster = request.getfixturevalue(request.param)
    return place


@pytest.fixture
def there(place: Server | Service | Cluster) -> Iterator[RedisStore]:
    """A store on it."""
    with connected_to(place.url) as store:
        yield store


class Ears:
    """Hears what a store announces."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        self.heard: list[tuple[int, Event]] = []
        self.listening: list[int] = []
        self.events = RedisEvents(
            reactor, url, timeout, lambda *told: self.heard.append(told), self.listening.append
        )
        run(self.events.start)

    def listen(self, *queues: Queue) -> None:
        """Listen to queues, and wait until the store confirms it."""
        for queue in queues:
            run(self.events.listen, queue)
        wanted = {queue.incarnation for queue in queues}
        wait_until(lambda: wanted <= set(self.listening))

    def positions(self, queue: Queue) -> list[int]:
        """The positions that were announced of a queue."""
        return [
            event.last
            for incarnation, event in self.heard
            if incarnation == queue.incarnation and isinstance(event, Announced)
        ]

    def wait_position(self, queue: Queue, position: int) -> None:
        """Wait until this position of a queue was announced."""
        wait_until(lambda: position in self.positions(queue))

    def wait_news(self, live: LiveQueue) -> None:
        """Post until it is heard; what is not must be followed by word of another place that is listened to.

        While a slot moves, some node's map may be old: the old owner is then listened to once more.
        """
        position = 0
        while position not in self.positions(live.queue):
            self.listening.clear()
            (position,) = live.post("news")
            wait_until(partial(self._has_heard, live.queue, position))

    def _has_heard(self, queue: Queue, position: int) -> bool:
        return position in self.positions(queue) or queue.incarnation in self.listening


@pytest.fixture
def ears(place: Server | Service | Cluster) -> Iterator[Ears]:
    """Somebody who listens to the store of the test."""
    ears = Ears(place.url)
    yield ears
    run(ears.events.stop)


def test_the_life_of_queues_in_many_slots(there: RedisStore) -> None:
    for live in [LiveQueue(there, f"queue-{number}") for number in range(12)]:
        one, two, three = live.post("one", "two", "three")
        claim = new_claim()
        assert bodies(live.claim(claim, limit=2).messages) == ["one", "two"]
        assert live.delete(one, claim) is Deleted.DONE
        live.release(claim)
        assert live.bodies() == ["two", "three"]
        assert bodies(live.pop(1).messages) == ["two"]
        assert live.counts() == (1, 0, 0)
        assert live.delete_many(two, three)
        run(lambda live=live: there.subscribe(live.queue, "http://a", 60, {}, confirmed=True))
        (subscription,) = run(there.list_subscriptions, live.queue, 0, 10)
        assert subscription.subscriber == "http://a"
        assert run(there.remove, live.queue)


def test_dead_letters_go_to_a_queue_in_another_slot(there: RedisStore) -> None:
    jobs = LiveQueue(there)
    for dead in [LiveQueue(there, f"dead-{number}") for number in range(6)]:
        jobs.post("bad")
        claim = new_claim()
        jobs.claim(claim)
        jobs.release(claim)
        assert jobs.claim(dead_letter=DeadLetter(1, dead.queue.name, None)).dead_lettered == 1
        (waiting,) = run(there.waiting_dead_letters, jobs.queue, 10)
        for _ in range(2):
            run(there.deliver_dead_letter, jobs.queue, waiting, dead.queue)
        run(there.forget_dead_letter, jobs.queue, waiting)
        run(there.dead_letter_arrived, jobs.queue, waiting, dead.queue)
        assert dead.bodies() == ["bad"]
        assert run(there.waiting_dead_letters, jobs.queue, 10) == []


def test_deliveries_of_queues_in_many_slots(there: RedisStore) -> None:
    registry = DeliveryRegistry(there.client)
    queues = [LiveQueue(there, f"queue-{number}") for number in range(12)]
    for live in queues:
        run(registry.add, DeliveryQueue.of(live.queue))
        hooks = Deliveries(live).own()
        hook = hooks.subscribe()
        first, second = live.post(1, 2)
        assert hooks.failed(hook, first, dead_letter=("dead", None))
        assert hooks.page(hook) == (live.get(second), second, None)
        assert hooks.delivered(hook, second)
        assert hooks.one(hook).position == second
        assert hooks.by(OMEGA).own().delivered(hook, second)
        assert hooks.all() is None
    mine = {DeliveryQueue.of(live.queue) for live in queues}
    taken = run(registry.take, ALPHA, 1000, 15)
    assert mine <= taken.keys()
    assert run(registry.keep, ALPHA, mine, 15).keys() == mine
    run(registry.release, ALPHA, mine)
    assert mine <= run(registry.take, OMEGA, 1000, 15).keys()


def test_announcements_of_queues_in_many_slots(there: RedisStore, ears: Ears) -> None:
    queues = [LiveQueue(there, f"queue-{number}") for number in range(12)]
    ears.listen(*(live.queue for live in queues))
    posted = [live.post("news")[0] for live in queues]
    wait_until(lambda: len(ears.heard) == len(queues))
    assert [ears.positions(live.queue) for live in queues] == [[position] for position in posted]
    run(ears.events.leave, queues[0].queue)
    ears.listening.clear()
    ears.listen(new_queue())  # answered behind the leaving where that is the same node
    run(sleep, 0.1)
    for live in queues:
        live.post("more")
    wait_until(lambda: len(ears.heard) == 2 * len(queues) - 1)
    assert ears.positions(queues[0].queue) == posted[:1]
    # Left and listened to again at once: once more it is heard.
    run(ears.events.leave, queues[1].queue)
    ears.listening.clear()
    ears.listen(queues[1].queue)
    queues[1].post("again")
    wait_until(lambda: len(ears.positions(queues[1].queue)) == 3)


def test_durability_is_that_of_the_worst(there: RedisStore, place: Server | Service | Cluster) -> None:
    servers = [place] if isinstance(place, Server) else place.servers
    seen = run(there.durability)
    assert (seen.persistence, seen.eviction, seen.role) == ("off", "noeviction", "primary")
    servers[0].client().config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert run(there.durability).eviction == "allkeys-lru"
    finally:
        servers[0].client().config_set("maxmemory-policy", "noeviction")


def test_announcements_follow_a_slot(cluster: Cluster) -> None:
    ears = Ears(cluster.url)
    with connected_to(cluster.url) as store:
        live = LiveQueue(store)
        ears.listen(live.queue)
        source = cluster.owner(live.queue)
        for target in [server for server in cluster.servers if server is not source] + [source]:
            ears.listening.clear()
            cluster.move_slot(cluster.slot_of(live.queue), cluster.owner(live.queue), target)
            wait_until(lambda: live.queue.incarnation in ears.listening)
            ears.wait_news(live)
    run(ears.events.stop)


def test_a_map_that_is_old_is_found_out_by_listening_too(cluster: Cluster) -> None:
    with connected_to(cluster.url) as store:
        live = LiveQueue(store)
        source = cluster.owner(live.queue)
        ears = Ears(cluster.url)
        ears.listen(new_queue())  # its map is there now
        target = next(server for server in cluster.servers if server is not source)
        cluster.move_slot(cluster.slot_of(live.queue), source, target)
        ears.listen(live.queue)
        ears.wait_news(live)
        cluster.move_slot(cluster.slot_of(live.queue), target, source)
    run(ears.events.stop)


def test_stopped_and_started_again(there: RedisStore, ears: Ears) -> None:
    live = LiveQueue(there)
    ears.listen(live.queue)
    run(there.stop)
    run(ears.events.stop)
    with pytest.raises(StoreUnavailable):
        live.post("never")
    with pytest.raises(StoreUnavailable):
        run(there.client.connected, 0.1)
    ears.listening.clear()
    run(ears.events.start)
    run(there.start, 5)
    wait_until(lambda: live.queue.incarnation in ears.listening)
    ears.wait_position(live.queue, live.post("again")[0])

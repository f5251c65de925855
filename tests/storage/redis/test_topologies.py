"""What the store does on one server it does behind sentinels and on a cluster; and what is theirs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from storage.base import Announced, DeadLetter, Deleted, Event, Queue
from storage.errors import StoreBusy, StoreFailed, StoreUnavailable, TooFewReplicas
from storage.redis.events import RedisEvents
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.reactor import eventually, reactor, run, sleep, wait_until
from tests.support.servers import Server, free_port, start_redis, start_valkey
from tests.support.store import LiveQueue, bodies, connected_to, new_claim, new_queue
from tests.support.topologies import Cluster, Service, node_id, start_cluster, start_service


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

    def __init__(self, url: str, timeout: float = 5) -> None:
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
        run(there.forget_dead_letter, jobs.queue, waiting, dead.queue)
        assert dead.bodies() == ["bad"]
        assert run(there.waiting_dead_letters, jobs.queue, 10) == []


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


# --- what goes wrong ------------------------------------------------------------------------------


def refused(url: str, timeout: float = 1) -> str:
    """Why a store cannot be started."""
    store = RedisStore(reactor, url, timeout)
    try:
        with pytest.raises((StoreUnavailable, StoreFailed)) as caught:
            run(store.start, timeout)
    finally:
        run(store.stop)
    return str(caught.value)


def test_urls_that_do_not_fit_what_is_there(valkey: Server, service: Service, cluster: Cluster) -> None:
    _, node, other = cluster.servers
    assert "redis+cluster://" in refused(f"redis://127.0.0.1:{node.tcp_port}") + refused(
        f"redis://127.0.0.1:{other.tcp_port}"
    )
    primary = service.primary.tcp_port
    assert "cluster support disabled" in refused(f"redis+cluster://127.0.0.1:{primary}")
    assert "No sentinel names the primary" in refused(service.url + "-2")
    assert "No such master" in refused(service.url + "-2")
    assert "refused" in refused("redis+sentinel://127.0.0.1:1/one")
    assert "refused" in refused("redis+cluster://127.0.0.1:1")
    assert "refused" in refused("redis://127.0.0.1:1")


def test_a_cluster_node_that_is_alone_tells_no_map(tmp_path: Path, cluster: Cluster) -> None:
    with start_valkey(
        tmp_path / "alone", tcp=True, cluster_enabled="yes", cluster_port=str(free_port())
    ) as alone:
        nodes = f"127.0.0.1:{alone.tcp_port}"
        assert "it is alone" in refused(f"redis+cluster://{nodes}")
        with connected_to(f"redis+cluster://{nodes},127.0.0.1:{cluster.servers[0].tcp_port}") as store:
            LiveQueue(store).post("here")


@pytest.mark.parametrize("kind", ["server", "service", "cluster"])
def test_passwords(tmp_path: Path, kind: str) -> None:
    with ExitStack() as running:
        place: Server | Service | Cluster
        if kind == "server":
            place = running.enter_context(start_valkey(tmp_path / "server", tcp=True))
            servers, url = [place], place.tcp_url or ""
        elif kind == "service":
            place = running.enter_context(start_service(tmp_path / "service", start_redis))
            servers, url = place.servers + place.sentinels, place.url
        else:
            place = running.enter_context(start_cluster(tmp_path / "cluster", start_valkey))
            servers, url = place.servers, place.url
        for server in servers:
            admin = server.client()
            if kind == "service":
                admin.execute_command("ACL", "SETUSER", "default", "on", "resetpass", ">secret")
            else:
                admin.config_set("requirepass", "secret")
            admin.close()
        assert "uth" in refused(url)
        assert "WRONGPASS" in refused(url.replace("://", "://:wrong@"))
        with connected_to(url.replace("://", "://:secret@")) as store:
            assert LiveQueue(store).post("in")


@pytest.mark.parametrize("start", [start_valkey, start_redis])
def test_a_slot_that_stays_on_its_way_is_refused_as_a_whole(
    tmp_path: Path, start: Callable[..., Server]
) -> None:
    """The script is not run on what is already there, or still here: nothing is written."""
    with start_cluster(tmp_path / "cluster", start) as cluster, connected_to(cluster.url, 0.5) as store:
        live = LiveQueue(store)
        live.post("before")
        slot, source = cluster.slot_of(live.queue), cluster.owner(live.queue)
        target = next(server for server in cluster.servers if server is not source)
        target.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
        source.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))
        head = head_key(live.queue)
        before = source.client().hgetall(head)
        for action in (lambda: live.post("never"), live.claim, live.stats):
            with pytest.raises(StoreBusy, match="on its way"):
                action()
        assert source.client().hgetall(head) == before
        # A part of the keys has gone: the target does not take what is left either.
        source.client().execute_command("MIGRATE", "127.0.0.1", target.tcp_port, head, 0, 5000)
        with pytest.raises(StoreBusy):
            live.post("never")
        assert target.client().execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        cluster.move_slot(slot, source, target)
        assert live.bodies() == ["before"]
        assert live.post("after")


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
            (position,) = live.post("news")
            ears.wait_position(live.queue, position)
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
        (position,) = live.post("news")
        ears.wait_position(live.queue, position)
        cluster.move_slot(cluster.slot_of(live.queue), target, source)
    run(ears.events.stop)


@pytest.mark.parametrize("how", ["the connection breaks", "the primary becomes a replica"])
def test_what_is_written_is_said_to_be_written(valkey: Server, how: str) -> None:
    """Also where it does not become known whether the replicas have it."""
    store = RedisStore(reactor, valkey.url, 20, min_replicas=1)
    run(store.start, 5)
    queue = new_queue()

    admin = valkey.client()

    async def create() -> None:
        creating = Deferred.fromCoroutine(store.create(queue))
        await eventually(lambda: admin.info("clients")["blocked_clients"] == 1)
        fault()
        await creating

    def fault() -> None:
        if how == "the connection breaks":
            admin.client_kill_filter(_type="normal", skipme=True)
        else:
            admin.replicaof("127.0.0.1", "1")

    try:
        with pytest.raises(TooFewReplicas):
            run(create)
    finally:
        admin.replicaof("NO", "ONE")
    assert admin.exists(head_key(queue)), "it was written"
    run(store.stop)

"""Connections to a store: URLs, passwords, refusals, and answers that do not come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from storage.errors import (
    OutcomeUnknown,
    StoreBusy,
    StoreFailed,
    StoreReadOnly,
    StoreUnavailable,
)
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.reactor import eventually, reactor, run, wait_until
from tests.support.servers import Server, free_port, start_redis, start_valkey
from tests.support.store import PATIENCE, LiveQueue, connected_to, new_queue
from tests.support.topologies import Cluster, Service, node_id, start_cluster, start_service


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


@pytest.mark.parametrize("kind", ["server", "service", pytest.param("cluster", marks=pytest.mark.long)])
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


@pytest.mark.parametrize("start", [start_redis, pytest.param(start_valkey, marks=pytest.mark.long)])
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


@pytest.mark.parametrize("how", ["the connection breaks", "the primary becomes a replica"])
def test_what_is_written_is_said_to_be_written(valkey: Server, how: str) -> None:
    """Also where it does not become known whether the replicas have it."""
    store = RedisStore(reactor, valkey.url, 20, min_replicas=1)
    run(store.start, PATIENCE)
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
        with pytest.raises(OutcomeUnknown, match="Written"):
            run(create)
    finally:
        admin.replicaof("NO", "ONE")
    assert admin.exists(head_key(queue)), "it was written"
    run(store.stop)


def test_a_primary_that_is_demoted_by_hand_is_left(tmp_path: Path) -> None:
    with (
        start_service(tmp_path / "service", start_redis) as service,
        connected_to(service.url + "/0") as store,
    ):
        live = LiveQueue(store, clock_runs=True)
        primary = service.primary
        primary.client().replicaof("127.0.0.1", "1")
        with pytest.raises(StoreReadOnly):
            live.post("never")
        assert "not the primary any more" in refused(service.url)
        primary.client().replicaof("NO", "ONE")
        run(store.client.connected, 20)
        # The sentinels may have made the other one the primary, or do so now: in the end there is one.
        wait_until(lambda: posted(live), timeout=30, interval=0.1)


def posted(live: LiveQueue) -> bool:
    """Whether a post is taken."""
    try:
        return bool(live.post("after"))
    except (StoreUnavailable, StoreReadOnly, OutcomeUnknown):
        return False


@pytest.mark.parametrize("start", [start_redis, pytest.param(start_valkey, marks=pytest.mark.long)])
def test_a_cluster_that_tells_no_hosts(tmp_path: Path, start: Callable[..., Server]) -> None:
    """Then a redirect and the map mean the host that was asked."""
    config: dict[str, Any] = {"cluster_preferred_endpoint_type": "unknown-endpoint"}
    with start_cluster(tmp_path / "cluster", start, **config) as cluster, connected_to(cluster.url) as store:
        for live in [LiveQueue(store, f"queue-{number}") for number in range(6)]:
            live.post("before")
            slot, source = cluster.slot_of(live.queue), cluster.owner(live.queue)
            target = next(server for server in cluster.servers if server is not source)
            cluster.move_slot(slot, source, target)
            assert live.bodies() == ["before"]
        # A slot that nobody serves is down, the others are not.
        gone = LiveQueue(store, "gone")
        for server in cluster.servers:
            server.client().execute_command("CLUSTER", "DELSLOTS", cluster.slot_of(gone.queue))
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="No node"):
                gone.post("never")
        live.post("after")


def test_a_database_by_number(service: Service, tmp_path: Path) -> None:
    with start_valkey(tmp_path / "server", tcp=True) as server:
        for url, place in ((f"{server.tcp_url}/3", server), (f"{service.url}/3", service)):
            with connected_to(url) as store:
                LiveQueue(store).post("there")
            assert place.client().info("keyspace")["db3"]["keys"] >= 1

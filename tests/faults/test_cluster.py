"""A gateway on a Redis Cluster: slots move and nodes die under it, while clients work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.redis.slots import key_slot
from tests.faults.audit import check
from tests.faults.broadcast import broadcast
from tests.faults.load import PROJECT, QUEUE, Ledger, Worker, all_messages
from tests.faults.ready import get, readiness, wait_ready
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_redis, start_valkey
from tests.support.topologies import DURABLE, Cluster, start_cluster

CLIENTS = 4


REDIS_LONG = ["valkey", pytest.param("redis7", marks=pytest.mark.long)]
VALKEY_LONG = [pytest.param("valkey", marks=pytest.mark.long), "redis7"]
"""One product in the short run, both in the long one."""


@pytest.fixture(params=["valkey", "redis7"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own, of each product, that keeps what it acknowledged."""
    start = start_valkey if request.param == "valkey" else start_redis
    with start_cluster(tmp_path / "cluster", start, **DURABLE) as cluster:
        yield cluster


@pytest.fixture
def gateway(cluster: Cluster, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway on it."""
    with start_gateway(tmp_path / "data", "--redis-url", cluster.url) as gateway:
        yield gateway


class Mover:
    """Moves the slot of the one queue that there is from node to node."""

    def __init__(self, cluster: Cluster, pause: float = 0.002) -> None:
        self._cluster = cluster
        self._pause = pause
        self._at: Server | None = None
        self._slot = 0

    def move(self) -> None:
        """To the next node, key by key."""
        source, target = self._next()
        self._cluster.move_slot(self._slot, source, target, self._pause)

    def move_at_once(self) -> None:
        """To the next node, as Valkey does it since version 9."""
        source, target = self._next()
        self._cluster.move_slot_at_once(self._slot, source, target)

    def _next(self) -> tuple[Server, Server]:
        servers = self._cluster.servers
        if self._at is None:
            ((self._at, key),) = [(server, key) for server in servers for key in heads(server)]
            self._slot = key_slot(key)
        source, self._at = self._at, servers[(servers.index(self._at) + 1) % len(servers)]
        return source, self._at


def heads(server: Server) -> set[bytes]:
    """The head keys of the queues on a server."""
    found: list[bytes] = server.client().execute_command("KEYS", "zg:*:head")
    return set(found)


def wait_posted(workers: list[Worker], more: int) -> None:
    """Wait until the workers have posted so many more messages."""
    goal = sum(worker.posted for worker in workers) + more
    wait_until(lambda: sum(worker.posted for worker in workers) >= goal, timeout=90)


def work(gateway: Gateway, fault: Callable[[], None], rounds: int) -> list[Worker]:
    """Clients that post and claim while faults happen; the gateway must have kept its promises."""
    ledger = Ledger()
    workers = [Worker(gateway.url, f"client{n}", ledger, seed=n) for n in range(CLIENTS)]
    for _ in range(rounds):
        wait_posted(workers, 60)
        fault()
    wait_posted(workers, 60)
    for worker in workers:
        worker.end()
    with Client(gateway.url, project=PROJECT) as client:
        check(client, ledger)
    return workers


@pytest.mark.parametrize("cluster", VALKEY_LONG, indirect=True)
def test_a_slot_moves_key_by_key_while_clients_work(gateway: Gateway, cluster: Cluster) -> None:
    workers = work(gateway, Mover(cluster).move, rounds=6)
    assert [worker.unavailable for worker in workers] == [0] * CLIENTS


@pytest.mark.parametrize("cluster", VALKEY_LONG, indirect=True)
def test_subscribers_follow_a_slot(gateway: Gateway, cluster: Cluster) -> None:
    assert broadcast(gateway, 300, every=50, fault=Mover(cluster).move) == 300


@pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
def test_a_slot_moves_at_once_while_clients_work(gateway: Gateway, cluster: Cluster) -> None:
    workers = work(gateway, Mover(cluster).move_at_once, rounds=6)
    assert [worker.unavailable for worker in workers] == [0] * CLIENTS


@pytest.mark.long
@pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
def test_subscribers_follow_a_slot_that_moves_at_once(gateway: Gateway, cluster: Cluster) -> None:
    assert broadcast(gateway, 300, every=50, fault=Mover(cluster).move_at_once) == 300


@pytest.mark.parametrize("cluster", REDIS_LONG, indirect=True)
def test_a_node_that_is_down_takes_only_its_own_queues_with_it(gateway: Gateway, cluster: Cluster) -> None:
    with Client(gateway.url, project="one") as client:
        homes: dict[Server, list[str]] = {server: [] for server in cluster.servers}
        known: set[bytes] = set()
        number = 0
        while not all(homes.values()):
            post(client, f"queue-{number}", "before")
            (home,) = (server for server in homes if heads(server) - known)
            known |= heads(home)
            homes[home].append(f"queue-{number}")
            number += 1
        dead, *alive = homes
        dead.kill()
        queue = homes[dead][0]
        refused = client.request("message_post", {"queue_name": queue, "messages": [{"body": "never"}]})
        assert (refused.status, refused.body["code"]) == (503, "store_unavailable"), refused.document
        for server in alive:
            post(client, homes[server][0], "meanwhile")
        # The others' queues can be served, so the gateway is to be sent requests.
        assert get(gateway, "/readyz")[0] == 200
        assert readiness(gateway)["store"]["persistence"] == "unknown"
        dead.restart()
        after = {"queue_name": queue, "messages": [{"body": "after"}]}
        wait_until(lambda: client.request("message_post", after).status == 201)
        for server, queues in homes.items():
            told = [message["body"] for message in all_messages(client, queues[0])]
            assert told == ["before", "after" if server is dead else "meanwhile"]


@pytest.mark.long
def test_all_nodes_restart(gateway: Gateway, cluster: Cluster) -> None:
    def fault() -> None:
        for server in cluster.servers:
            server.kill()
        for server in cluster.servers:
            server.restart()

    assert broadcast(gateway, 120, every=60, fault=fault) > 0


@pytest.mark.parametrize("how", ["killed", pytest.param("replaced", marks=pytest.mark.long)])
def test_a_replica_takes_over(tmp_path: Path, how: str) -> None:
    with ExitStack() as running:
        cluster = running.enter_context(
            start_cluster(tmp_path / "cluster", start_valkey, replicas=1, **DURABLE)
        )
        gateway = running.enter_context(
            start_gateway(tmp_path / "data", "--redis-url", cluster.url, "--min-replicas", "1")
        )
        with Client(gateway.url, project=PROJECT) as client:
            post(client, QUEUE, "first")
            done(client.request("message_delete_many", {"queue_name": QUEUE, "pop": 1}), 200)
        (home,) = (server for server in cluster.servers if heads(server))
        heir = cluster.replicas[cluster.servers.index(home)]

        def fault() -> None:
            if how == "killed":
                home.kill()
            else:
                heir.client().execute_command("CLUSTER", "FAILOVER")
            wait_until(lambda: heir.client().info("replication")["role"] == "master")
            if how == "killed":
                home.restart()  # as the new one's replica, without which nothing is acknowledged

        work(gateway, fault, rounds=1)
        wait_ready(gateway)

"""Stores of several servers for the tests: a cluster, and a primary with a replica under three sentinels.

::

    with start_cluster(tmp_path / "cluster", start_valkey) as cluster:
        with connected_to(cluster.url) as store:
            cluster.move_slot(cluster.slot_of(queue), cluster.servers[1])

    with start_service(tmp_path / "service", start_redis) as service:
        service.primary.kill()
        service.wait_for_another_primary()

All listen on free loopback ports and keep their files in folders of their own. What they wait for before they
count somebody as dead is short, so that a failover takes about a second.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis

from storage.records import Queue
from storage.redis.runner import head_key
from storage.redis.slots import SLOTS, key_slot
from tests.support.reactor import wait_until
from tests.support.servers import Server, free_port

Start = Callable[..., Server]
"""start_valkey or start_redis."""

NODE_TIMEOUT = 3000
"""Milliseconds after which the nodes of a cluster count one as dead."""

DOWN_AFTER = 3000
"""Milliseconds after which a sentinel counts a server as dead."""

SERVICE = "zaqar"

DURABLE: dict[str, Any] = {"appendonly": "yes", "appendfsync": "everysec"}
"""What a server keeps over a restart."""


class Cluster:
    """Primaries that share the slots in equal ranges, each with as many replicas as asked for."""

    def __init__(self, servers: list[Server], replicas: list[Server]) -> None:
        self.servers = servers
        """The primaries, in the order of the slots that they were given at first."""
        self.replicas = replicas
        """Behind each primary its own, in the same order."""
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.tcp_port}" for server in servers)

    def client(self) -> redis.RedisCluster:
        """A redis-py client of the whole cluster."""
        port = self.servers[0].tcp_port
        assert port is not None
        return redis.RedisCluster("127.0.0.1", port)

    def slot_of(self, queue: Queue) -> int:
        """The slot of a queue's keys."""
        return key_slot(head_key(queue))

    def owner(self, queue: Queue) -> Server:
        """The server that serves a queue now, as one that runs knows it."""
        slot = self.slot_of(queue)
        everybody = {server.tcp_port: server for server in self.servers + self.replicas}
        for server in everybody.values():
            with contextlib.suppress(redis.ConnectionError):
                for first, last, primary, *_ in server.client().execute_command("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return everybody[primary[1]]
        raise AssertionError(f"nobody serves slot {slot}")

    def move_slot(self, slot: int, source: Server, target: Server, pause: float = 0.0) -> None:
        """Move a slot key by key, as `redis-cli --cluster reshard` does, with a pause after each key."""
        source_client, target_client = source.client(), target.client()
        target_client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
        source_client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))
        while keys := source_client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source_client.execute_command("MIGRATE", "127.0.0.1", target.tcp_port, "", 0, 5000, "KEYS", *keys)
            time.sleep(pause)
        for server in (target, source, *self.servers):
            server.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", node_id(target))
        self._wait_agreed()

    def move_slot_at_once(self, slot: int, source: Server, target: Server) -> None:
        """Move a slot as a whole, which Valkey can since version 9."""
        client = source.client()
        client.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node_id(target))

        def is_done() -> bool:
            states = []
            for told in client.execute_command("CLUSTER", "GETSLOTMIGRATIONS"):
                facts = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
                states.append(facts[b"state"])
            assert not {b"failed", b"cancelled"} & set(states), states
            return set(states) == {b"success"}

        wait_until(is_done)
        self._wait_agreed()

    def _wait_agreed(self) -> None:
        """Wait until all primaries have heard of the last change.

        A node that takes a slot before gives its claim a number that another may have taken too, and then the
        cluster may decide for the old owner, and throw away what has moved.
        """
        wait_until(
            lambda: len({cluster_info(server)["cluster_current_epoch"] for server in self.servers}) == 1,
            interval=0.002,
        )


def node_id(server: Server) -> str:
    """A node's name in its cluster."""
    name: bytes = server.client().execute_command("CLUSTER", "MYID")
    return name.decode()


def cluster_info(server: Server) -> dict[str, str]:
    """What a node says of its cluster."""
    info: dict[str, str] = server.client().execute_command("CLUSTER INFO")
    return info


@contextlib.contextmanager
def start_cluster(
    path: Path, start: Start, *, nodes: int = 3, replicas: int = 0, **config: Any
) -> Iterator[Cluster]:
    """Start a cluster. A node that is down takes only its own slots with it.

    :param path: a folder for the nodes' folders; made if missing.
    :param replicas: of each primary.
    :param config: directives for all nodes, as of `start_valkey`.
    """
    directives: dict[str, Any] = {
        "cluster_enabled": "yes",
        "cluster_node_timeout": str(NODE_TIMEOUT),
        "cluster_require_full_coverage": "no",
        "cluster_allow_replica_migration": "no",
        "repl_diskless_sync_delay": "0",
        **config,
    }
    with ExitStack() as running:
        ports = [free_port() for _ in range(nodes * (1 + replicas))]
        servers = [
            running.enter_context(
                start(path / f"node-{number}", tcp=True, cluster_port=str(port), **directives)
            )
            for number, port in enumerate(ports)
        ]
        primaries = servers[:nodes]
        for number, server in enumerate(servers):
            client = server.client()
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < nodes:
                first, last = SLOTS * number // nodes, SLOTS * (number + 1) // nodes - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            if number:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].tcp_port, ports[0])
        wait_until(
            lambda: all(
                (info := cluster_info(server))["cluster_state"] == "ok"
                and info["cluster_known_nodes"] == str(len(servers))
                for server in servers
            ),
            timeout=30,
        )
        for number, replica in enumerate(servers[nodes:]):
            replica.client().execute_command("CLUSTER", "REPLICATE", node_id(primaries[number % nodes]))
        wait_until(lambda: all(is_synced(replica) for replica in servers[nodes:]), timeout=30)
        yield Cluster(primaries, servers[nodes:])


def is_synced(replica: Server) -> bool:
    """Whether a replica follows its primary."""
    return bool(replica.client().info("replication").get("master_link_status") == "up")


class _Sentinel(Server):
    """A sentinel: the server's program in another mode, which writes to its configuration file."""

    def __init__(self, binary: Path, folder: Path, primary: Server) -> None:
        super().__init__(binary, folder, free_port(), {})
        folder.mkdir(parents=True)
        self._file = folder / "sentinel.conf"
        self._file.write_text(
            f"port {self.tcp_port}\nbind 127.0.0.1\nunixsocket {self.socket_path}\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.tcp_port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )

    def _command(self) -> list[str]:
        return [str(self.binary), str(self._file), "--sentinel"]


class Service:
    """A primary and its replica, which may change places, and three sentinels that see to it."""

    def __init__(self, servers: list[Server], sentinels: list[Server]) -> None:
        self.servers = servers
        self.sentinels = sentinels
        nodes = ",".join(f"127.0.0.1:{sentinel.tcp_port}" for sentinel in sentinels)
        self.url = f"redis+sentinel://{nodes}/{SERVICE}"

    @property
    def primary(self) -> Server:
        """The server that the first sentinel names as the primary."""
        _, port = self._ask("GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.tcp_port == int(port))

    @property
    def replica(self) -> Server:
        """The other one."""
        primary = self.primary
        return next(server for server in self.servers if server is not primary)

    def client(self) -> redis.Redis:
        """A redis-py client of the primary."""
        return self.primary.client()

    def fail_over(self) -> None:
        """Make the replica the primary, and the primary its replica, as an operator does."""
        before = self.primary
        self._ask("FAILOVER", SERVICE)
        self.wait_for_another_primary(before)

    def wait_for_another_primary(self, than: Server) -> None:
        """Wait until all sentinels have a primary that is not this one."""
        wait_until(
            lambda: all(
                int(sentinel.client().execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
                != than.tcp_port
                for sentinel in self.sentinels
            ),
            timeout=30,
        )

    def wait_whole(self) -> None:
        """Wait until the replica follows the primary, and every sentinel knows that."""

        def is_whole() -> bool:
            # A server that changes its role closes its connections.
            with contextlib.suppress(redis.ConnectionError):
                return is_synced(self.replica) and all(map(_knows_all, self.sentinels))
            return False

        wait_until(is_whole, timeout=60, interval=0.05)

    def _ask(self, *command: str) -> Any:
        return self.sentinels[0].client().execute_command("SENTINEL", *command)


def _knows_all(sentinel: Server) -> bool:
    told = sentinel.client().execute_command("SENTINEL", "MASTER", SERVICE)
    facts = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
    known = facts[b"num-other-sentinels"], facts[b"num-slaves"], facts[b"flags"]
    return known == (b"2", b"1", b"master")


@contextlib.contextmanager
def start_service(path: Path, start: Start, **config: Any) -> Iterator[Service]:
    """Start a primary, its replica and three sentinels, and wait until each knows the others.

    :param path: a folder for their folders; made if missing.
    :param config: directives for primary and replica, as of `start_valkey`.
    """
    with ExitStack() as running:
        directives: dict[str, Any] = {"repl_diskless_sync_delay": "0", **config}
        primary = running.enter_context(start(path / "first", tcp=True, **directives))
        replica = running.enter_context(
            start(path / "second", tcp=True, replicaof=f"127.0.0.1 {primary.tcp_port}", **directives)
        )
        wait_until(lambda: is_synced(replica))
        sentinels: list[Server] = []
        for number in range(3):
            sentinel = _Sentinel(primary.binary, (path / f"sentinel-{number}").absolute(), primary)
            sentinel.start()
            sentinels.append(running.enter_context(sentinel))
        service = Service([primary, replica], sentinels)
        service.wait_whole()
        yield service

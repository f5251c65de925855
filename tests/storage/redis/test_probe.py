"""A look at a store before it becomes a pool: what is let through, what is refused and why, what is left."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.errors import PoolUnusable
from storage.redis import probe as module
from storage.redis.address import AddressError
from storage.redis.probe import probe
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server, free_port, start_redis, start_valkey
from tests.support.topologies import start_cluster, start_service

Start = Callable[..., Server]

both = pytest.mark.parametrize("start", [start_valkey, start_redis])


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No connection and no timer outlives a probe."""

    def held() -> tuple[int, int]:
        return run(lambda: (len(reactor.getReaders()), len(reactor.getDelayedCalls())))

    before = held()
    yield
    wait_until(lambda: held() <= before, message=f"{held()} readers and timers, {before} before")


def refusal(url: str) -> str:
    with pytest.raises(PoolUnusable) as caught:
        run(probe, reactor, url)
    assert caught.value.status == 400
    assert caught.value.code == "pool_unusable"
    return str(caught.value)


class Connections:
    """How many connections a server has, but for this one."""

    def __init__(self, server: Server) -> None:
        self._client = server.client()

    def count(self) -> int:
        return len(self._client.client_list()) - 1


def test_a_store_is_looked_at_and_marked(store_server: Server) -> None:
    connections = Connections(store_server)
    before = connections.count()
    for _ in range(2):
        seen = run(probe, reactor, store_server.url)
    wait_until(lambda: connections.count() == before)
    assert (seen.role, seen.eviction) == ("primary", "noeviction")
    assert store_server.client().get("zg:layout") == b"1"


def test_a_password_is_used_and_not_shown(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", tcp=True) as server:
        server.client().config_set("requirepass", "hunter2")
        assert run(probe, reactor, f"redis://:hunter2@127.0.0.1:{server.tcp_port}").role == "primary"
        assert run(probe, reactor, f"{server.url}?password=hunter2").role == "primary"
        for login in (":hunter3@", "hunter3@", "me:hunter3@"):
            text = refusal(f"redis://{login}127.0.0.1:{server.tcp_port}")
            assert text.startswith("cannot connect to redis://"), text
            assert "WRONGPASS" in text or "NOAUTH" in text
            assert "hunter" not in text


def test_data_of_another_layout_are_left_alone(store_server: Server) -> None:
    store_server.client().set("zg:layout", "2")
    assert "holds data of layout 2" in refusal(store_server.url)
    assert store_server.client().get("zg:layout") == b"2"
    store_server.client().flushall()


@both
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_store_that_throws_messages_away_is_refused(tmp_path: Path, start: Start, policy: str) -> None:
    with start(tmp_path / "store", maxmemory_policy=policy) as server:
        assert f"maxmemory-policy is {policy}" in refusal(server.url)
        assert server.client().keys() == []


@both
def test_a_replica_is_refused(tmp_path: Path, start: Start) -> None:
    with (
        start(tmp_path / "primary", tcp=True) as primary,
        start(tmp_path / "replica", replicaof=f"127.0.0.1 {primary.tcp_port}") as replica,
    ):
        assert "it is a replica; name its primary" in refusal(replica.url)


def test_a_full_store_is_refused_before_anything_is_on_it(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", maxmemory="1") as server:
        assert "memory is full" in refusal(server.url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:hunter2@127.0.0.1:{port}", "Connection refused"),
        ("rediss://:hunter2@127.0.0.1:{port}", "Connection refused"),
        ("unix://:hunter2@/nowhere/store.sock", "No such file or directory"),
        ("redis://:hunter2@no-such-host.invalid", "DNS lookup failed"),
        (
            "redis+sentinel://:hunter2@127.0.0.1:{port},127.0.0.1:{port}/zaqar",
            "No sentinel names the primary",
        ),
    ],
)
def test_nobody_there_is_said_without_waiting(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECT_TIMEOUT", "TIMEOUT"):
        monkeypatch.setattr(module, name, 1000.0)
    text = refusal(url.format(port=free_port()))
    assert text.startswith("cannot connect to ")
    assert why in text
    assert "hunter2" not in text


def test_nobody_of_a_cluster_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.3)
    text = refusal(f"redis+cluster://:hunter2@127.0.0.1:{free_port()}")
    assert "Connection refused" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize("login", ["", ":hunter2@"])
def test_who_does_not_answer_is_given_up(scheme: str, login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        path = "/zaqar" if scheme == "redis+sentinel" else ""
        text = refusal(f"{scheme}://{login}127.0.0.1:{silent.getsockname()[1]}{path}")
    assert text.startswith(f"cannot connect to {scheme}://{':***@' if login else ''}127.0.0.1:")
    assert "hunter2" not in text


def test_all_of_it_has_an_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for url in ("redis://:pw@127.0.0.1:{}", "redis://127.0.0.1:{}", "redis+cluster://127.0.0.1:{}"):
            assert "did not answer within 0.3 seconds" in refusal(url.format(silent.getsockname()[1]))


def test_who_speaks_something_else_is_no_store() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        url = f"redis://127.0.0.1:{other.getsockname()[1]}"

        def greet() -> None:
            connection, _ = other.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            connection.close()

        reactor.callFromThread(reactor.callInThread, greet)
        assert refusal(url).startswith("cannot connect to redis://127.0.0.1:")


def test_what_is_no_url_is_an_error_of_its_own() -> None:
    with pytest.raises(AddressError):
        run(probe, reactor, "redis+cluster://host/1")


@both
def test_a_node_of_a_cluster_is_no_pool_by_itself(tmp_path: Path, start: Start) -> None:
    with start(tmp_path / "node", cluster_enabled="yes") as server:
        assert "redis+cluster://" in refusal(server.url)


@both
def test_a_cluster_is_looked_at_as_a_whole(tmp_path: Path, start: Start) -> None:
    with start_cluster(tmp_path / "cluster", start) as cluster:
        watched = [Connections(server) for server in cluster.servers]
        before = [connections.count() for connections in watched]
        assert run(probe, reactor, cluster.url).eviction == "noeviction"
        # The nodes of a cluster are connected to each other on another port.
        wait_until(lambda: [connections.count() for connections in watched] == before)
        assert cluster.client().get("zg:layout") == b"1"
        cluster.servers[2].client().config_set("maxmemory-policy", "allkeys-random")
        assert "maxmemory-policy is allkeys-random" in refusal(cluster.url)


@pytest.mark.long
@both
def test_a_sentinel_service_is_its_primary(tmp_path: Path, start: Start) -> None:
    with start_service(tmp_path / "service", start) as service:
        assert run(probe, reactor, service.url).role == "primary"
        assert service.client().get("zg:layout") == b"1"
        assert "No such master" in refusal(service.url.replace("/zaqar", "/other"))
        sentinel = f"redis://127.0.0.1:{service.sentinels[0].tcp_port}"
        assert refusal(sentinel).startswith(f"cannot connect to {sentinel}: The message store refused")
        service.primary.client().config_set("maxmemory-policy", "volatile-lru")
        assert "maxmemory-policy is volatile-lru" in refusal(service.url)

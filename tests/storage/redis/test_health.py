"""What a server says of itself, and the layout of its data."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from storage.errors import StoreFailed
from storage.pools import Durability
from storage.redis.health import LAYOUT, LayoutError
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.servers import Server, start_redis, start_valkey
from tests.support.store import connected, connected_to


def test_each_server_is_known_by_its_name(store: RedisStore, store_server: Server) -> None:
    info = store_server.client().info("server")
    version = info.get("valkey_version")
    expected = f"valkey {version}" if version else f"redis {info['redis_version']}"
    assert run(store.durability) == Durability(expected, "off", "noeviction", "primary")


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_persistence_and_eviction(tmp_path: Path, fsync: str) -> None:
    server = start_redis(
        tmp_path / "store", appendonly="yes", appendfsync=fsync, maxmemory_policy="allkeys-lru"
    )
    with server, connected(server) as store:
        told = run(store.durability)
        assert (told.persistence, told.eviction, told.role) == (fsync, "allkeys-lru", "primary")


def test_a_replica_says_so(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        server.client().replicaof("127.0.0.1", "1")
        assert run(store.durability).role == "replica"


def restricted(server: Server, *rules: str) -> str:
    """The URL of a user who may do all but this."""
    server.client().execute_command("ACL", "SETUSER", "node", "on", ">pw", "+@all", "~*", "&*", *rules)
    return f"unix://node:pw@{server.socket_path}"


def test_what_may_not_be_read_is_unknown(store_server: Server) -> None:
    with connected_to(restricted(store_server, "-config")) as store:
        told = run(store.durability)
        assert (told.persistence, told.eviction, told.role) == ("unknown", "unknown", "primary")


def test_a_server_that_says_nothing_of_itself(store_server: Server) -> None:
    with connected_to(restricted(store_server, "-info")) as store, pytest.raises(StoreFailed, match="NOPERM"):
        run(store.durability)


def test_an_empty_store_gets_the_layout(store: RedisStore, store_server: Server) -> None:
    client = store_server.client()
    assert client.get("zg:layout") == b"%d" % LAYOUT
    with connected(store_server):
        assert set(client.keys()) == {b"zg:layout", b"zg:store"}


def test_a_store_is_known_by_what_was_written_when_it_was_first_used(
    store: RedisStore, store_server: Server
) -> None:
    assert len(store.identity) == 32
    with connected(store_server) as again:
        assert again.identity == store.identity


@pytest.mark.parametrize("refusal", ["full", "replica"])
def test_a_store_of_before_that_takes_no_writes_has_no_identity(tmp_path: Path, refusal: str) -> None:
    with start_valkey(tmp_path / "store") as server:
        client = server.client()
        client.set("zg:layout", LAYOUT)
        if refusal == "full":
            client.config_set("maxmemory", 1)
        else:
            client.replicaof("127.0.0.1", "1")
        with connected(server) as store:
            assert store.identity == b""


@pytest.mark.parametrize("found", ["2", "0", "", "none of ours"])
def test_data_of_another_layout_are_left_alone(store_server: Server, found: str) -> None:
    client: redis.Redis = store_server.client()
    client.set("zg:layout", found)
    with pytest.raises(LayoutError, match=f"layout {found}; this version of the gateway needs {LAYOUT}"):
        connected(store_server).__enter__()
    assert client.get("zg:layout") == found.encode()
    client.flushall()  # others use the server too

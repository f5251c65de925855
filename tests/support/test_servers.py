"""The tests' own stores start, keep what their configuration says, and leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.support.servers import Server, start_redis, start_valkey

Start = Callable[..., Server]


@pytest.mark.parametrize("start", [start_valkey, start_redis])
def test_a_killed_server_finds_its_folder_again(start: Start, tmp_path: Path) -> None:
    with start(tmp_path / "store", appendonly="yes", appendfsync="always") as server:
        server.client().set("key", "value")
        first = server.pid
        server.kill()
        assert not Path(f"/proc/{first}").exists()
        server.restart()
        assert server.client().get("key") == b"value"
        second = server.pid
    assert not Path(f"/proc/{second}").exists()


def test_it_listens_on_tcp_only_if_asked_to(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "one") as server:
        assert server.client().config_get("port") == {"port": "0"}
    with start_redis(tmp_path / "two", tcp=True) as server:
        assert server.tcp_url is not None
        with redis.Redis.from_url(server.tcp_url) as client:
            assert client.ping()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="maxmemory-policy"):
        start_valkey(tmp_path / "store", maxmemory_policy="no-such-policy")


def test_the_session_servers_are_the_two_products(store_server: Server) -> None:
    info = store_server.client().info("server")
    assert info["process_id"] == store_server.pid
    assert store_server.client().dbsize() == 0
    assert store_server.client().config_get("dir") == {"dir": os.path.realpath(store_server.folder)}

"""Subscribers get every message once and in order, whatever happens to what the store announces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.broadcast import broadcast
from tests.support.gateway import Gateway, start_gateway
from tests.support.proxy import Proxy
from tests.support.reactor import wait_until
from tests.support.servers import Server


@pytest.fixture
def gateway(proxy: Proxy, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose store is behind the proxy."""
    with start_gateway(tmp_path / "data", "--redis-url", proxy.url) as gateway:
        yield gateway


def test_event_connection_killed(gateway: Gateway, store: Server) -> None:
    admin = store.client()

    def fault() -> None:
        wait_until(lambda: admin.client_kill_filter(_type="pubsub") > 0)

    # The other connection lives: every post is acknowledged.
    assert broadcast(gateway, 400, every=20, fault=fault) == 400


def test_both_connections_cut(gateway: Gateway, proxy: Proxy) -> None:
    def fault() -> None:
        wait_until(lambda: proxy.connections >= 2)
        proxy.break_connections()

    assert broadcast(gateway, 400, every=40, fault=fault) > 0


def test_event_connection_stalled(store: Server, proxy: Proxy, tmp_path: Path) -> None:
    """A connection that only looks alive is found out by its pings, and replaced."""
    with start_gateway(tmp_path / "data", "--redis-url", proxy.url, "--request-timeout", "0.5") as gateway:
        assert broadcast(gateway, 60, every=30, fault=proxy.stall, heal=proxy.heal) > 0


def test_store_killed_and_restarted(gateway: Gateway, store: Server) -> None:
    def fault() -> None:
        store.kill()
        store.restart()

    assert broadcast(gateway, 300, every=75, fault=fault) > 0

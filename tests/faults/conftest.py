"""A store of each product, and a proxy before it that can cut, stall and half-open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxy import Proxy
from tests.support.servers import Server, start_redis, start_valkey


@pytest.fixture(params=["valkey", "redis7"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, of each product, that keeps what it acknowledged."""
    start = start_valkey if request.param == "valkey" else start_redis
    with start(tmp_path / "store", appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def proxy(store: Server, tmp_path: Path) -> Iterator[Proxy]:
    """What stands between the gateway and the store."""
    with Proxy(store.socket_path, tmp_path / "proxy.sock") as proxy:
        yield proxy

"""Where the machines play: connections to a real store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.redis.store import RedisStore
from tests.support.servers import Server
from tests.support.store import connected

Connections = tuple[RedisStore, RedisStore]


@pytest.fixture
def connections(store_server: Server) -> Iterator[Connections]:
    """Two connections to the same store."""
    with connected(store_server) as first, connected(store_server) as second:
        yield first, second

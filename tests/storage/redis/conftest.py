"""A store on each of the two servers, and a queue on it whose time stands still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.redis.store import RedisStore
from tests.support.servers import Server
from tests.support.store import LiveQueue, connected


@pytest.fixture
def store(store_server: Server) -> Iterator[RedisStore]:
    """A started store on an empty server: Valkey and Redis in turn."""
    with connected(store_server) as started:
        yield started


@pytest.fixture
def jobs(store: RedisStore) -> LiveQueue:
    """A fresh queue whose clock is moved by the test alone."""
    return LiveQueue(store)

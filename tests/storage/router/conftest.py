"""Routers of two nodes on one catalog, which counts what it is asked, and one store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from protocol.body import Body, Form
from storage.base import MessageStore
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.records import NewMessage, Queue, Stats
from storage.redis.store import RedisStore
from storage.router import Router
from tests.support.reactor import reactor, run
from tests.support.routing import new_router
from tests.support.servers import Server
from tests.support.store import PATIENCE

CLIENT = bytes(16)


class WatchedCatalog(SQLCatalog):
    """Counts look-ups, and lets something happen right after the database has answered."""

    look_ups = 0
    after_get: Callable[[Queue | None], Awaitable[object]] | None = None
    after_create: Callable[[Queue], Awaitable[object]] | None = None

    async def get_queue(self, project: str, name: str) -> Queue | None:
        self.look_ups += 1
        queue = await super().get_queue(project, name)
        if self.after_get is not None:
            await self.after_get(queue)
        return queue

    async def create_queue(
        self, project: str, name: str, metadata: Mapping[str, Any], most: int = 0
    ) -> tuple[Queue, bool]:
        answer = await super().create_queue(project, name, metadata, most)
        if self.after_create is not None:
            await self.after_create(answer[0])
        return answer


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[WatchedCatalog]:
    catalog = WatchedCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    yield catalog
    run(catalog.stop)


@pytest.fixture
def store(valkey: Server) -> Iterator[RedisStore]:
    store = RedisStore(reactor, valkey.url, PATIENCE)
    run(store.start, 10.0)
    yield store
    run(store.stop)


@pytest.fixture
def router(catalog: SQLCatalog, store: RedisStore) -> Router:
    return new_router(catalog, store)


@pytest.fixture
def other_node(catalog: SQLCatalog, store: RedisStore) -> Router:
    """A router with a cache of its own on the same catalog and store."""
    return new_router(catalog, store)


async def free(store: MessageStore, queue: Queue) -> int:
    """An operation: how many messages are free. It asks the store, so it notices an old route."""
    stats: Stats = await store.stats(queue)
    return stats.free


async def post(store: MessageStore, queue: Queue) -> int:
    await store.post(queue, [NewMessage(Body(Form.JSON, b"1"), 60)], CLIENT)
    return queue.incarnation


async def no_dead_letters(_store: MessageStore, _queue: Queue) -> None:
    raise AssertionError("there are none")


def ensure(router: Router, name: str = "q") -> Queue:
    answer: tuple[Queue, bool] = run(router.ensure, "p", name)
    return answer[0]

"""The stores of all pools: opened when needed, once, and closed when their pool goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, gatherResults

from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import CatalogUnavailable, StoreUnavailable
from storage.pools import DEFAULT_POOL, Pool
from storage.records import Queue
from storage.redis.store import RedisStore
from storage.stores import OpenStore, Stores
from tests.support.reactor import reactor, run
from tests.support.routing import NoAnnouncements, new_router
from tests.support.servers import Server
from tests.support.store import PATIENCE


class Opener:
    """Opens real stores, and counts."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []

    async def open(self, pool: str, uri: str) -> OpenStore:
        self.opened.append(pool)
        store = RedisStore(reactor, uri, PATIENCE)
        try:
            await store.start(5)
        except BaseException:
            await store.stop()
            raise

        async def close() -> None:
            self.closed.append(pool)
            await store.stop()

        return OpenStore(store, NoAnnouncements(), close, uri)


class Pools:
    """A catalog, stores, and who opens them."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        self.opener = Opener()
        self.server = server

    async def start(self) -> None:
        await self.catalog.start(upgrade=True)
        default = await self.opener.open(DEFAULT_POOL, self.server.url)
        self.now = 0.0
        self.stores = Stores(default, self.catalog, self.opener.open, lambda: self.now)

    async def stop(self) -> None:
        await self.stores.stop()
        await self.catalog.stop()


@pytest.fixture
def pools(valkey: Server, tmp_path: Path) -> Iterator[Pools]:
    pools = Pools(valkey, tmp_path)
    run(pools.start)
    yield pools
    run(pools.stop)
    assert sorted(pools.opener.closed) == sorted(pools.opener.opened)


def test_a_store_is_opened_once_for_all_who_need_it(pools: Pools, redis7: Server) -> None:
    run(pools.catalog.create_pool, Pool("second", redis7.url, 1))

    async def scenario() -> None:
        assert pools.stores.opened("second") is None
        several = [Deferred.fromCoroutine(pools.stores.open("second")) for _ in range(3)]
        found = await gatherResults(several)
        assert found[0] is found[1] is found[2] is pools.stores.opened("second")
        assert await pools.stores.open("second") is found[0]
        assert "redis 7" in (await found[0].store.durability()).server

    run(scenario)
    assert pools.opener.opened == [DEFAULT_POOL, "second"]


def test_an_open_store_needs_no_catalog(pools: Pools, redis7: Server) -> None:
    run(pools.catalog.create_pool, Pool("second", redis7.url, 1))
    second = run(pools.stores.open, "second")
    run(pools.catalog.stop)
    assert run(pools.stores.open, "second") is second
    with pytest.raises(CatalogUnavailable):
        run(pools.stores.open, "third")
    with pytest.raises(CatalogUnavailable):
        run(pools.stores.open_afresh, "second")
    assert run(pools.stores.open_afresh, DEFAULT_POOL) is pools.stores.default


def test_a_store_that_is_away_is_tried_again(pools: Pools, tmp_path: Path, redis7: Server) -> None:
    run(pools.catalog.create_pool, Pool("second", f"unix://{tmp_path}/nobody.sock", 1))
    for _ in range(2):
        for moment in (0, 0.9):  # not more often than once a second
            pools.now += moment
            with pytest.raises(StoreUnavailable):
                run(pools.stores.open, "second")
        pools.now += 0.2
    assert pools.opener.opened.count("second") == 2
    pools.opener.opened.remove("second")
    pools.opener.opened.remove("second")
    # Elsewhere it may be there.
    run(lambda: pools.catalog.update_pool("second", uri=redis7.url))
    run(pools.stores.open, "second")


def test_a_pool_that_is_in_no_catalog_has_no_store(pools: Pools) -> None:
    with pytest.raises(StoreUnavailable, match="third"):
        run(pools.stores.open, "third")


def test_stores_of_pools_that_went_or_moved_are_closed(pools: Pools, valkey: Server, redis7: Server) -> None:
    for name in ("gone", "moved", "same"):
        run(pools.catalog.create_pool, Pool(name, redis7.url, 1))
        run(pools.stores.open, name)
    run(pools.catalog.delete_pool, "gone")
    run(lambda: pools.catalog.update_pool("moved", uri=valkey.url))
    run(pools.stores.refresh)
    assert sorted(pools.opener.closed) == ["gone", "moved"]
    assert pools.stores.opened("same") is not None
    assert "valkey" in run(run(pools.stores.open, "moved").store.durability).server


def test_a_queue_is_made_where_its_pool_is_now(pools: Pools, valkey: Server, redis7: Server) -> None:
    """A pool that was removed and made anew elsewhere: who has not heard of it loses nothing there."""
    run(pools.catalog.create_pool, Pool("second", valkey.url, 1))
    run(pools.stores.open, "second")
    run(lambda: pools.catalog.update_pool("second", uri=redis7.url))
    router = new_router(pools.catalog, pools.stores)
    queue = Queue("p", "q", 1, pool="second")
    assert run(router.complete, queue)
    assert redis7.client().exists(b"zg:{%016x}:head" % 1)
    assert not valkey.client().exists(b"zg:{%016x}:head" % 1)


def test_nothing_is_opened_after_the_end(pools: Pools, redis7: Server) -> None:
    run(pools.catalog.create_pool, Pool("second", redis7.url, 1))

    async def scenario() -> None:
        opening = Deferred.fromCoroutine(pools.stores.open("second"))
        await pools.stores.stop()
        with pytest.raises(StoreUnavailable, match="stop"):
            await opening

    run(scenario)

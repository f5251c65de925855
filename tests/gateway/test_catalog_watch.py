"""What a node knows of the catalog follows what other nodes change."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from gateway.catalog_watch import CatalogWatch
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import CatalogUnavailable
from storage.records import Queue
from storage.redis.changes import PoolsChanged, QueueChanged
from storage.redis.store import RedisStore
from storage.router import Router
from tests.support.reactor import eventually, reactor, run
from tests.support.routing import new_router, only
from tests.support.servers import Server
from tests.support.store import PATIENCE


class Watched:
    """A node's router and its watch, and the router of another node on the same catalog and store."""

    def __init__(self, server: Server, folder: Path, interval: float) -> None:
        self.store = RedisStore(reactor, server.url, PATIENCE)
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        stores = only(self.store, self.catalog)
        self.router = new_router(self.catalog, stores)
        self.other: Router = new_router(self.catalog, stores)
        self.watch = CatalogWatch(reactor, self.router, stores, interval)
        self.queue: Queue

    async def start(self) -> None:
        await self.store.start(PATIENCE)
        await self.catalog.start(upgrade=True)
        self.queue, _ = await self.router.ensure("p", "q")
        self.watch.start()

    async def stop(self) -> None:
        await self.watch.stop()
        await self.catalog.stop()
        await self.store.stop()

    async def change_elsewhere(self) -> None:
        assert self.router.cached("p", "q") == self.queue
        await self.other.update("p", "q", lambda _: {"a": 1})

    async def seen(self) -> bool:
        return (await self.router.find("p", "q")).metadata == {"a": 1}


@pytest.fixture
def patient(valkey: Server, tmp_path: Path) -> Iterator[Watched]:
    """One that does not compare by itself."""
    watched = Watched(valkey, tmp_path, interval=3600)
    run(watched.start)
    yield watched
    run(watched.stop)


def test_a_change_that_is_announced_is_seen(patient: Watched) -> None:
    run(patient.change_elsewhere)
    assert patient.router.cached("p", "q") == patient.queue
    patient.watch.changed(QueueChanged("p", "q"))
    assert run(patient.seen)


@pytest.mark.parametrize("what", ["pools", "pause"])
def test_what_may_have_been_missed_is_compared_at_once(patient: Watched, what: str) -> None:
    async def scenario() -> None:
        await patient.change_elsewhere()
        if what == "pools":
            patient.watch.changed(PoolsChanged())
        else:
            patient.watch.compare_soon()
        await eventually(patient.seen)

    run(scenario)


def test_what_comes_during_a_comparison_is_compared_after_it(
    patient: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Deferred[None]] = []
    versions = patient.catalog.queue_versions

    async def answer_late(incarnations: Collection[int]) -> dict[int, tuple[int, str]]:
        found = await versions(incarnations)
        if not answers:
            answers.append(Deferred())
            await answers[0]
        return found

    monkeypatch.setattr(patient.catalog, "queue_versions", answer_late)

    async def scenario() -> None:
        patient.watch.compare_soon()
        await eventually(lambda: answers)
        await patient.change_elsewhere()
        patient.watch.compare_soon()
        answers[0].callback(None)
        await eventually(patient.seen)

    run(scenario)


def test_without_announcements_a_change_is_seen_in_the_end(valkey: Server, tmp_path: Path) -> None:
    watched = Watched(valkey, tmp_path, interval=0.05)

    async def scenario() -> None:
        await watched.start()
        await watched.change_elsewhere()
        await eventually(watched.seen)
        await watched.stop()

    run(scenario)


def test_a_catalog_that_fails_ends_nothing(
    valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(valkey, tmp_path, interval=0.05)
    failures: list[Exception] = [CatalogUnavailable("away"), RuntimeError("a fault of ours")]
    versions = watched.catalog.queue_versions

    async def fail_twice(incarnations: list[int]) -> dict[int, tuple[int, str]]:
        if failures:
            raise failures.pop()
        return await versions(incarnations)

    monkeypatch.setattr(watched.catalog, "queue_versions", fail_twice)

    async def scenario() -> None:
        await watched.start()
        await watched.change_elsewhere()
        await eventually(watched.seen)
        assert not failures
        await watched.stop()

    run(scenario)

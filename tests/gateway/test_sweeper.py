"""The sweeper: what nobody asks for is put in order all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.sweeper import AT_ONCE, PER_ROUND, Sweeper
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import CatalogUnavailable
from storage.records import DeadLetter, NewMessage, Queue
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from storage.router import Router
from tests.support.reactor import eventually, reactor, run
from tests.support.routing import new_router
from tests.support.servers import Server
from tests.support.store import ALICE, PATIENCE, SECOND, new_claim, text

INTERVAL = 0.05


class BrokenCatalog(SQLCatalog):
    """A catalog that can be made to fail when all queues are asked for."""

    broken = False
    failures = 0

    async def all_queues(self, after: int, limit: int) -> list[Queue]:
        if self.broken:
            self.failures += 1
            raise CatalogUnavailable("The catalog does not answer.")
        return await super().all_queues(after, limit)


@dataclass
class Swept:
    """A store and a catalog that are swept, and the queue `jobs` in them."""

    store: RedisStore
    catalog: BrokenCatalog
    router: Router
    queue: Queue

    async def count(self) -> int:
        """Records in the store, expired ones too: no script that would clean up is run."""
        key = head_key(self.queue).replace(b":head", b":messages")
        return int(await self.store.client.execute("HLEN", key))


@pytest.fixture
def swept(tmp_path: Path, valkey: Server) -> Iterator[Swept]:
    store = RedisStore(reactor, valkey.url, PATIENCE)
    catalog = BrokenCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    router = new_router(catalog, store)
    sweeper = Sweeper(reactor, router, catalog, INTERVAL)
    run(store.start, PATIENCE)
    run(catalog.start, upgrade=True)
    queue, _ = run(router.ensure, "project", "jobs")
    sweeper.start()
    yield Swept(store, catalog, router, queue)
    run(sweeper.stop)
    run(catalog.stop)
    run(store.stop)


def post(swept: Swept, count: int) -> None:
    run(swept.store.post, swept.queue, [NewMessage(text(n), 60) for n in range(count)], ALICE)


def test_expired_messages_leave_the_store_unasked(swept: Swept) -> None:
    post(swept, 1000)

    async def scenario() -> None:
        assert await swept.count() == 1000
        swept.store.scripts.clock_offset = 61 * SECOND

        async def empty() -> bool:
            return await swept.count() == 0

        await eventually(empty)

    run(scenario)


def test_dead_letters_that_a_crash_left_are_delivered(swept: Swept) -> None:
    post(swept, 3)
    rule = DeadLetter(0, "graveyard", 90)
    # The claim moves them into the outbox; its gateway is killed before it delivers them.
    assert run(swept.store.create_claim, swept.queue, new_claim(), 60, 60, 10, rule).dead_lettered == 3

    async def scenario() -> None:
        async def delivered() -> bool:
            if await swept.catalog.get_queue("project", "graveyard") is None:
                return False
            graveyard = await swept.router.find("project", "graveyard")
            return (await swept.store.stats(graveyard)).free == 3

        async def forgotten() -> bool:  # which comes after that
            return await swept.store.waiting_dead_letters(swept.queue, 10) == []

        await eventually(delivered)
        await eventually(forgotten)

    run(scenario)


def test_a_queue_that_is_gone_keeps_no_other_waiting(swept: Swept) -> None:
    # Its row stands in the catalog, but the store has removed it.
    gone, _ = run(swept.router.ensure, "project", "gone")
    assert run(swept.store.remove, gone)
    test_expired_messages_leave_the_store_unasked(swept)


def test_it_goes_on_when_the_catalog_is_back(swept: Swept) -> None:
    swept.catalog.broken = True
    run(lambda: eventually(lambda: swept.catalog.failures > 1))
    swept.catalog.broken = False
    test_expired_messages_leave_the_store_unasked(swept)


def test_a_round_ends_and_the_next_goes_on_behind_it(swept: Swept) -> None:
    async def many() -> None:
        for n in range(45):
            await swept.router.ensure("project", f"queue-{n}")

    run(many)
    assert AT_ONCE < 45 < PER_ROUND
    test_expired_messages_leave_the_store_unasked(swept)

"""A catalog that moves to another database is the same there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage.catalog import copying
from storage.catalog.copying import CopyError, copy
from storage.catalog.engine import make_engine, sqlite_url
from storage.catalog.schema import SchemaError, upgrade
from storage.catalog.sql import SQLCatalog
from storage.pools import DEFAULT_POOL, Flavor, Pool
from storage.records import Queue
from tests.support.reactor import reactor, run

NAMES = ["a", "A", "ä", "a b", "x" * 64]


def quiet(done: int, total: int) -> None:
    """Nobody watches."""


def new_engine(url: str) -> Engine:
    engine = make_engine(url, 30)
    upgrade(engine)
    return engine


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Engine]:
    """A full catalog on SQLite."""
    url = sqlite_url(tmp_path / "source.sqlite")
    engine = new_engine(url)
    run(fill, url)
    yield engine
    engine.dispose()


@pytest.fixture
def target(catalog_url: str) -> Iterator[Engine]:
    engine = new_engine(catalog_url)
    yield engine
    engine.dispose()


async def fill(url: str) -> None:
    catalog = SQLCatalog(reactor, url)
    await catalog.start()
    await catalog.create_pool(Pool("second", "redis://:secret@host", 7, {"a": 1}))
    await catalog.create_flavor(Flavor("gold", ("second", DEFAULT_POOL)))
    await catalog.update_pool(DEFAULT_POOL, weight=0)
    for number, name in enumerate(NAMES):
        queue, _ = await catalog.create_queue("prøject", name, {"n": number, "text": "é"})
        await catalog.update_queue(queue, {"n": number, "changed": True})
    await catalog.stop()


async def read(url: str) -> tuple[list[Queue], list[Pool], list[Flavor]]:
    catalog = SQLCatalog(reactor, url)
    await catalog.start()
    found = (
        await catalog.all_queues(-1, 100),
        await catalog.list_pools("", 100),
        await catalog.list_flavors("", 100),
    )
    await catalog.stop()
    return found


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_all_of_it_is_there(source: Engine, target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 2)
    told: list[tuple[int, int]] = []
    assert copy(source, target, lambda done, total: told.append((done, total))) == len(NAMES)
    assert told == [(2, 5), (4, 5), (5, 5)]
    before, after = run(read, url_of(source)), run(read, url_of(target))
    assert before == after
    assert [pool.weight for pool in after[1]] == [0, 7]

    async def go_on() -> None:
        catalog = SQLCatalog(reactor, url_of(target))
        await catalog.start()
        await catalog.create_pool(Pool("third", "redis://host", 1))
        await catalog.create_flavor(Flavor("silver", ("third",)))
        await catalog.stop()

    run(go_on)


def test_what_is_there_is_not_mixed_with_it(source: Engine, target: Engine) -> None:
    run(fill, url_of(target))
    before = run(read, url_of(target))
    with pytest.raises(CopyError, match="not empty"):
        copy(source, target, quiet)
    assert run(read, url_of(target)) == before


def test_a_copy_that_fails_leaves_nothing(
    source: Engine, target: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(read, url_of(target))

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, fail)
    assert run(read, url_of(target)) == before


def test_both_have_to_be_of_this_revision(source: Engine, tmp_path: Path) -> None:
    engine = make_engine(sqlite_url(tmp_path / "old.sqlite"), 30)
    with pytest.raises(SchemaError, match="the target's schema is of revision none"):
        copy(source, engine, quiet)
    with pytest.raises(SchemaError, match="the source's schema is of revision none"):
        copy(engine, source, quiet)
    engine.dispose()

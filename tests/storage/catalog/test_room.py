"""How many queues a project may have, on each database."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from twisted.internet.defer import Deferred, gatherResults

from storage.catalog.sql import SQLCatalog
from storage.errors import TooManyQueues
from tests.support.reactor import run

MOST = 3


def create(catalog: SQLCatalog, project: str, name: str) -> bool:
    """Whether the queue is new."""
    created: bool = run(catalog.create_queue, project, name, {}, MOST)[1]
    return created


def test_one_queue_too_many(catalog: SQLCatalog) -> None:
    assert all(create(catalog, "p", name) for name in "abc")
    with pytest.raises(TooManyQueues, match="3 queues"):
        create(catalog, "p", "d")
    assert run(catalog.get_queue, "p", "d") is None
    # Those that are there are found as ever, and another project has room of its own.
    assert [create(catalog, "p", name) for name in "abc"] == [False] * 3
    assert create(catalog, "other", "d")


def test_what_is_deleted_makes_room(catalog: SQLCatalog) -> None:
    for name in "abc":
        create(catalog, "p", name)
    run(catalog.delete_queue, run(catalog.get_queue, "p", "b"))
    assert create(catalog, "p", "d")
    with pytest.raises(TooManyQueues):
        create(catalog, "p", "b")


def test_a_project_that_has_more_already_keeps_them(catalog: SQLCatalog) -> None:
    for number in range(10):
        run(catalog.create_queue, "p", f"q{number}", {})
    with pytest.raises(TooManyQueues):
        create(catalog, "p", "new")
    assert not create(catalog, "p", "q7")


def test_of_many_at_once_few_are_too_many(catalog: SQLCatalog) -> None:
    """SQLite has one writer. On a server, those that create at the same instant may come in together."""

    async def try_it(name: str) -> bool:
        try:
            return (await catalog.create_queue("p", name, {}, MOST))[1]
        except TooManyQueues:
            return False

    def all_at_once() -> Deferred[list[bool]]:
        return gatherResults([Deferred.fromCoroutine(try_it(f"q{number}")) for number in range(40)])

    created = sum(run(all_at_once))
    assert MOST <= created <= MOST + 3


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_it_is_counted_in_the_index_alone(engine: Engine) -> None:
    """What the count reads grows with the limit, not with the metadata of the queues."""
    with engine.connect() as connection:
        plan = connection.execute(
            text(
                "EXPLAIN QUERY PLAN SELECT count(*) FROM "
                "(SELECT name FROM queues WHERE project = 'p' AND name != 'q' LIMIT 3)"
            )
        )
        assert any("COVERING INDEX" in str(row) for row in plan)

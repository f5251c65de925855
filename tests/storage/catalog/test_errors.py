"""Errors are the same on each database, and say what the catalog needs to know."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from oslo_db.exception import (
    DBConnectionError,
    DBDataError,
    DBDeadlock,
    DBDuplicateEntry,
    DBError,
    DBReferenceError,
)
from sqlalchemy import Connection, Engine, delete, insert, text, update

from storage.catalog import schema
from storage.catalog.engine import WRITING, make_engine
from storage.catalog.tables import flavor_pools, flavors, pools, queues
from tests.support.databases import DatabaseServer

QUEUE = {"project": "p", "name": "q", "metadata": "{}", "serial": 0, "created": 0, "pool": "default"}


def write(engine: Engine, work: Callable[[Connection], object]) -> None:
    with engine.connect().execution_options(**WRITING) as connection, connection.begin():
        work(connection)


def add_queue(engine: Engine, **values: object) -> None:
    write(engine, lambda connection: connection.execute(insert(queues).values(**QUEUE | values)))


def test_a_duplicate_names_its_columns(engine: Engine) -> None:
    add_queue(engine, incarnation=1)
    with pytest.raises(DBDuplicateEntry) as caught:
        add_queue(engine, incarnation=2)
    assert caught.value.columns == ["project", "name"]
    for table in (pools, flavors):
        values = {"name": "default", "uri": "", "weight": 1, "options": "{}", "created": 0}
        own = {key: value for key, value in values.items() if key in table.c}
        with pytest.raises(DBDuplicateEntry) as caught:
            for _ in range(2):
                write(engine, lambda connection: connection.execute(insert(table).values(own)))  # noqa: B023  # run at once
        assert caught.value.columns == ["name"]


@pytest.mark.parametrize(
    ("work", "table", "constraint", "key", "referred"),
    [
        (
            insert(queues).values(incarnation=2, **{**QUEUE, "name": "r", "pool": "missing"}),
            *("queues", "fk_queues_pool", "pool", "pools"),
        ),
        (
            update(queues).where(queues.c.name == "q").values(pool="missing"),
            *("queues", "fk_queues_pool", "pool", "pools"),
        ),
        (
            insert(flavor_pools).values(flavor="missing", pool="default"),
            *("flavor_pools", "fk_flavor_pools_flavor", "flavor", "flavors"),
        ),
        (
            insert(flavor_pools).values(flavor="f", pool="missing"),
            *("flavor_pools", "fk_flavor_pools_pool", "pool", "pools"),
        ),
        # The other way round it is still the referring table that is named.
        (
            delete(pools).where(pools.c.name == "default"),
            *("queues", "fk_queues_pool", "pool", "pools"),
        ),
    ],
)
def test_a_broken_reference_names_table_and_constraint(
    engine: Engine, work: object, table: str, constraint: str, key: str, referred: str
) -> None:
    add_queue(engine, incarnation=1)
    write(engine, lambda connection: connection.execute(insert(flavors).values(name="f", created=0)))
    with pytest.raises(DBReferenceError) as caught:
        write(engine, lambda connection: connection.execute(work))  # type: ignore[call-overload]  # any statement
    error = caught.value
    assert (error.table, error.constraint, error.key, error.key_table) == (table, constraint, key, referred)
    # Nothing of it is left, and the same connection is good for more.
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM queues WHERE pool = 'default'")) == 1
        assert connection.scalar(text("SELECT count(*) FROM flavor_pools")) == 0


def test_what_was_done_before_a_broken_reference_stays_in_the_transaction(engine: Engine) -> None:
    # PostgreSQL alone ends a transaction with its first error: then nothing of it stays.
    goes_on = engine.name != "postgresql"
    with engine.connect().execution_options(**WRITING) as connection, connection.begin():
        connection.execute(insert(queues).values(incarnation=1, **QUEUE))
        with pytest.raises(DBReferenceError):
            connection.execute(
                insert(queues).values(incarnation=2, **{**QUEUE, "name": "r", "pool": "missing"})
            )
        with nullcontext() if goes_on else pytest.raises(DBError):
            connection.execute(insert(queues).values(incarnation=3, **{**QUEUE, "name": "s"}))
    with engine.connect() as connection:
        left = sorted(connection.scalars(text("SELECT incarnation FROM queues")))
        assert left == ([1, 3] if goes_on else [])


@pytest.mark.parametrize(
    "values",
    [{"name": "q" * 65}, {"project": "p" * 1025}],
)
def test_what_is_too_long_does_not_fit(engine: Engine, values: dict[str, str]) -> None:
    with pytest.raises(DBDataError):
        add_queue(engine, incarnation=1, **values)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM queues")) == 0


def test_what_is_just_short_enough_fits(engine: Engine) -> None:
    project, name = "\N{GRINNING FACE}" * 256, "q" * 64
    metadata = '"' + "\\ud83d\\ude00" * 65_536 + '"'
    add_queue(engine, incarnation=2**62 - 1, project=project, name=name, metadata=metadata)
    with engine.connect() as connection:
        row = connection.execute(queues.select()).one()
    assert (row.incarnation, row.project, row.name, row.metadata) == (2**62 - 1, project, name, metadata)


def test_a_deadlock_is_one(database_server: DatabaseServer) -> None:
    with database_server.database() as url:
        engine = make_engine(url, timeout=20, connections=3)
        schema.upgrade(engine)
        for number in range(2):
            add_queue(engine, incarnation=number, name=f"q{number}")
        meet = threading.Barrier(2)
        errors: list[Exception] = []

        def cross(first: int) -> None:
            try:
                with engine.begin() as connection:
                    for step in (first, 1 - first):
                        statement = update(queues).where(queues.c.incarnation == step).values(serial=first)
                        connection.execute(statement)
                        if step == first:
                            meet.wait(20)
            except DBDeadlock as error:
                errors.append(error)

        threads = [threading.Thread(target=cross, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(errors) == 1
        engine.dispose()


def test_a_lock_that_is_not_to_be_had_is_like_a_deadlock(engine: Engine, catalog_url: str) -> None:
    add_queue(engine, incarnation=1)
    impatient = make_engine(catalog_url, timeout=0.2)
    with engine.connect().execution_options(**WRITING) as connection, connection.begin():
        connection.execute(update(queues).values(serial=1))
        with pytest.raises(DBDeadlock):
            write(impatient, lambda connection: connection.execute(update(queues).values(serial=2)))
    impatient.dispose()


def test_a_connection_that_breaks_in_a_transaction_is_lost(database_server: DatabaseServer) -> None:
    with database_server.database() as url:
        engine = make_engine(url, timeout=5)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            database_server.kill()
            try:
                with pytest.raises(DBConnectionError):
                    connection.execute(text("SELECT 1"))
            finally:
                database_server.start()
        engine.dispose()


def test_too_many_connections_are_like_no_connection(mariadb: DatabaseServer) -> None:
    with mariadb.database() as url:
        mariadb.execute("SET GLOBAL max_connections = 10")
        engine = make_engine(url, timeout=5, connections=20)
        held = []
        try:
            # MariaDB keeps one more for its administrator, whom the tests connect as.
            with pytest.raises(DBConnectionError):
                held += [engine.connect() for _ in range(20)]
        finally:
            engine.dispose()
            for connection in held:
                connection.close()
            engine.dispose()
            mariadb.restart()

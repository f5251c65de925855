"""Migrations, up and down on each database, against the tables that the statements are written for."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
    update,
)

from storage.catalog import schema
from storage.catalog.engine import make_engine, sqlite_url
from storage.catalog.schema import SchemaError
from storage.catalog.sql import SQLCatalog
from storage.catalog.tables import REVISION, Identifier, metadata
from storage.errors import CatalogUnavailable
from storage.pools import Flavor, Pool
from storage.records import Queue
from tests.support.databases import DatabaseServer
from tests.support.reactor import reactor, run

# What a gateway of revision 0001 knows, and what its SQLite file looked like.
queues_0001 = Table(
    "queues",
    MetaData(),
    Column("incarnation", BigInteger()),
    Column("project", Identifier(256, width=4)),
    Column("name", Identifier(64)),
    Column("metadata", Text()),
    Column("serial", BigInteger()),
    Column("created", BigInteger()),
)
ROW = {"project": "p", "name": "q", "metadata": '{"a":1}', "serial": 3, "created": 7}
SQLITE_0001 = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num));
CREATE TABLE queues (
    incarnation INTEGER NOT NULL, project VARCHAR(256) NOT NULL, name VARCHAR(64) NOT NULL,
    metadata TEXT NOT NULL, serial BIGINT NOT NULL, created BIGINT NOT NULL,
    PRIMARY KEY (incarnation), CONSTRAINT uniq_queues0project0name UNIQUE (project, name)
);
INSERT INTO alembic_version VALUES ('0001');
INSERT INTO queues VALUES (5, 'p', 'q', '{"a":1}', 3, 7);
"""


@pytest.fixture
def empty(catalog_url: str) -> Iterator[Engine]:
    """An engine on a database without tables."""
    engine = make_engine(catalog_url, timeout=10, connections=5)
    yield engine
    engine.dispose()


def drift(engine: Engine) -> list[Any]:
    """What Alembic would change to make the database like the tables of the statements."""
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))


def found(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return schema.found_revision(connection)


def shape(engine: Engine) -> dict[str, Any]:
    """All tables with everything that a database tells of them."""
    inspector = inspect(engine)
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name),
            sorted(map(str, inspector.get_unique_constraints(name))),
            sorted(map(str, inspector.get_foreign_keys(name))),
            sorted(map(str, inspector.get_indexes(name))),
            sorted(str(each) for each in inspector.get_check_constraints(name)),
        )
        for name in inspector.get_table_names()
    }


def test_the_newest_revision_is_the_one_that_the_statements_are_written_for() -> None:
    assert schema.revisions() == ["0001", "0002", "0003"]
    assert schema.revisions()[-1] == REVISION


def test_there_is_no_drift_up_or_down_and_up_again(empty: Engine) -> None:
    assert found(empty) is None
    shapes: dict[str | None, Any] = {}
    for revision in schema.revisions():
        schema.upgrade(empty, revision)
        assert found(empty) == revision
        shapes[revision] = shape(empty)
    assert drift(empty) == []
    for revision in schema.revisions()[-2::-1]:
        schema.downgrade(empty)
        assert found(empty) == revision
        assert shape(empty) == shapes[revision]
    schema.downgrade(empty, "base")
    assert found(empty) is None
    schema.upgrade(empty)
    schema.upgrade(empty)  # Nothing more to do.
    assert (shape(empty), drift(empty)) == (shapes[REVISION], [])


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE queues ADD COLUMN more INTEGER",
        "DROP INDEX ix_queues_pool",
        "DROP TABLE flavor_pools",
        "CREATE INDEX more ON pools (weight)",
    ],
)
def test_a_drift_would_be_seen(empty: Engine, statement: str) -> None:
    schema.upgrade(empty)
    if empty.name == "mysql" and statement == "DROP INDEX ix_queues_pool":
        statement = "ALTER TABLE queues DROP FOREIGN KEY fk_queues_pool, DROP INDEX ix_queues_pool"
    with empty.begin() as connection:
        connection.execute(text(statement))
    assert drift(empty) != []


def test_a_file_of_the_first_version_is_migrated_with_its_queues(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.executescript(SQLITE_0001)
    connection.close()
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    assert run(catalog.get_queue, "p", "q") == Queue("p", "q", 5, {"a": 1}, 3, "default")
    run(catalog.stop)
    engine = make_engine(sqlite_url(tmp_path / "catalog.sqlite"), timeout=5)
    assert drift(engine) == []


def test_queues_survive_the_way_up_and_down(empty: Engine) -> None:
    schema.upgrade(empty, "0001")
    with empty.begin() as connection:
        connection.execute(insert(queues_0001).values(incarnation=5, **ROW))
    schema.upgrade(empty)
    with empty.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM queues WHERE pool = 'default'")) == 1
    schema.downgrade(empty, "0001")
    with empty.connect() as connection:
        assert connection.execute(select(queues_0001)).one()._asdict() == {"incarnation": 5, **ROW}


def test_a_gateway_of_the_version_before_works_on_the_newer_schema(empty: Engine) -> None:
    schema.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(insert(queues_0001).values(incarnation=5, **ROW))
        connection.execute(update(queues_0001).values(metadata="{}", serial=4))
    with empty.connect() as connection:
        row = connection.execute(select(queues_0001)).one()
        assert row._asdict() == {"incarnation": 5, **ROW, "metadata": "{}", "serial": 4}
        # What the newer one finds of it.
        assert connection.scalar(text("SELECT count(*) FROM queues WHERE pool = 'default'")) == 1
    with empty.begin() as connection:
        connection.execute(delete(queues_0001))


def test_queues_in_other_pools_keep_the_schema_from_going_back(empty: Engine, catalog_url: str) -> None:
    catalog = SQLCatalog(reactor, catalog_url)
    run(catalog.start, upgrade=True)
    run(catalog.create_pool, Pool("ssd", "redis://x", 1))
    run(catalog.create_flavor, Flavor("gold", ("ssd",)))
    queue, _ = run(catalog.create_queue, "p", "q", {"_flavor": "gold"})
    with pytest.raises(SchemaError, match="Queues in other pools than default: 1"):
        schema.downgrade(empty, "0001")
    schema.upgrade(empty)  # MySQL has gone the first step, and says so
    assert drift(empty) == []
    run(catalog.delete_queue, queue)
    run(lambda: catalog.update_pool("ssd", weight=0))
    run(catalog.create_queue, "p", "q", {})
    run(catalog.stop)
    schema.downgrade(empty, "0001")
    with pytest.raises(SchemaError, match="There are queues"):
        schema.downgrade(empty)
    assert found(empty) == "0001"


def test_moves_that_are_unfinished_keep_the_schema_from_going_back(empty: Engine, catalog_url: str) -> None:
    catalog = SQLCatalog(reactor, catalog_url)
    run(catalog.start, upgrade=True)
    run(catalog.create_pool, Pool("ssd", "redis://x", 1))
    queue, _ = run(catalog.create_queue, "p", "q", {})
    run(catalog.begin_move, queue, "ssd")
    with pytest.raises(SchemaError, match="Queues on their way to another pool: 1"):
        schema.downgrade(empty)
    assert (found(empty), drift(empty)) == (REVISION, [])
    run(catalog.end_move, queue)
    run(catalog.stop)
    schema.downgrade(empty)
    assert found(empty) == "0002"


def test_a_migration_of_mariadb_that_was_interrupted_is_finished(mariadb: DatabaseServer) -> None:
    """MariaDB cannot undo a change of a table, so a crash leaves what was done."""
    with mariadb.database() as url:
        engine = make_engine(url, timeout=20, connections=2)
        schema.upgrade(engine)
        whole = shape(engine)
        for undo in (
            (),
            ("ALTER TABLE queues DROP FOREIGN KEY fk_queues_pool, DROP INDEX ix_queues_pool, DROP pool",),
            ("DROP TABLE flavor_pools",),
            (
                "ALTER TABLE flavor_pools DROP FOREIGN KEY fk_flavor_pools_pool,"
                " DROP INDEX ix_flavor_pools_pool",
                "ALTER TABLE flavor_pools"
                " ADD CONSTRAINT fk_flavor_pools_pool FOREIGN KEY (pool) REFERENCES pools (name)",
            ),
            (
                "ALTER TABLE queue_moves DROP FOREIGN KEY fk_queue_moves_to_pool,"
                " DROP INDEX ix_queue_moves_to_pool",
                "ALTER TABLE queue_moves"
                " ADD CONSTRAINT fk_queue_moves_to_pool FOREIGN KEY (to_pool) REFERENCES pools (name)",
            ),
            ("DROP TABLE queue_moves",),
            ("DROP TABLE queue_moves", "DELETE FROM pools", "DROP TABLE flavor_pools", "DROP TABLE flavors"),
        ):
            with engine.begin() as connection:
                for statement in undo:
                    connection.execute(text(statement))
                connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
            schema.upgrade(engine)
            assert shape(engine) == whole
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT count(*) FROM pools")) == 1
        # The same on the way back.
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE queues DROP FOREIGN KEY fk_queues_pool, DROP pool"))
            connection.execute(text("DROP TABLE flavor_pools"))
            connection.execute(text("DROP TABLE queue_moves"))
        schema.downgrade(engine, "0001")
        assert found(engine) == "0001"
        engine.dispose()


def test_programs_that_migrate_at_once_take_turns(empty: Engine, catalog_url: str) -> None:
    engines = [make_engine(catalog_url, timeout=30) for _ in range(4)]
    errors: list[BaseException] = []

    def migrate(engine: Engine) -> None:
        try:
            schema.upgrade(engine)
        except BaseException as error:  # noqa: BLE001  # told to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=migrate, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for engine in engines:
        engine.dispose()
    assert errors == []
    assert drift(empty) == []


def test_waiting_for_another_migration_has_an_end(
    database_server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LOCK_PATIENCE", 1)
    with database_server.database() as url:
        engine = make_engine(url, timeout=10, connections=2)
        with engine.connect() as other:
            other.detach()  # MySQL lets go of the lock when it is closed.
            with other.begin():
                schema._wait_for_others(other)
                with pytest.raises(SchemaError, match="try again later"):
                    schema.upgrade(engine)
        schema.upgrade(engine)
        engine.dispose()


@pytest.mark.parametrize("revision", ["0009", "nonsense"])
def test_a_revision_that_nobody_knows_is_refused(empty: Engine, revision: str) -> None:
    schema.upgrade(empty)
    for migrate in (schema.upgrade, schema.downgrade):
        with pytest.raises(SchemaError, match=revision):
            migrate(empty, revision)
    assert found(empty) == REVISION


# What serve does with what it finds


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        (None, "has no tables yet: run zaqar-gateway catalog upgrade"),
        ("0001", "is of revision 0001, this gateway needs 0003: run zaqar-gateway catalog upgrade"),
        ("0005", "catalog downgrade --revision 0003"),
        ("a1b2c3", "catalog downgrade --revision 0003"),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_with_the_command(revision: str | None, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        schema.check(revision)


def test_the_next_schema_is_taken_with_a_warning() -> None:
    assert schema.check("0003") == ""
    assert "upgrade the gateway soon" in schema.check("0004")


def test_a_catalog_does_not_start_on_another_schema(catalog_url: str, empty: Engine) -> None:
    with pytest.raises(SchemaError, match="has no tables yet"):
        run(SQLCatalog(reactor, catalog_url).start)
    schema.upgrade(empty, "0001")
    catalog = SQLCatalog(reactor, catalog_url)
    with pytest.raises(SchemaError, match="revision 0001"):
        run(catalog.start)
    with pytest.raises(CatalogUnavailable, match="not running"):
        run(catalog.ping)
    assert found(empty) == "0001"


def test_a_catalog_works_on_the_next_schema(
    catalog_url: str, empty: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    schema.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    catalog = SQLCatalog(reactor, catalog_url)
    run(catalog.start)
    assert run(catalog.create_queue, "p", "q", {})[1]
    run(catalog.stop)
    assert "upgrade the gateway soon" in caplog.text

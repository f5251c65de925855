"""The engine: which databases it takes, and how it opens each."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pymysql
import pytest
from oslo_db.exception import DBConnectionError, DBDataError, DBDeadlock, DBNonExistentDatabase
from sqlalchemy import Engine, event, insert, make_url, text

from storage.catalog.engine import WRITING, make_engine, reason, shortcomings, sqlite_url
from storage.catalog.tables import pools
from tests.support.databases import DatabaseServer
from tests.support.reactor import wait_until


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 2500)],
)
def test_sqlite_is_durable_and_checks_foreign_keys(tmp_path: Path, pragma: str, value: object) -> None:
    engine = make_engine(sqlite_url(tmp_path / "catalog.sqlite"), timeout=2.5)
    for _ in range(2):  # Every connection, not only the first.
        with engine.connect() as connection:
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_sqlite_takes_the_lock_to_write_when_a_transaction_that_writes_begins(tmp_path: Path) -> None:
    engine = make_engine(sqlite_url(tmp_path / "catalog.sqlite"), timeout=0.1)
    with engine.connect().execution_options(**WRITING) as first:
        for _ in range(2):  # Also the second time on one connection.
            with first.begin(), engine.connect().execution_options(**WRITING) as second:
                with pytest.raises(DBDeadlock), second.begin():
                    pass
                with engine.connect() as reader:
                    reader.execute(text("SELECT * FROM sqlite_master"))


@pytest.mark.parametrize("name", ["plain.sqlite", "a b.sqlite", "100%?timeout=1&x#y.sqlite", "größe.sqlite"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    with make_engine(sqlite_url(tmp_path / name), timeout=1).begin() as connection:
        connection.execute(text("CREATE TABLE t (a)"))
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:////catalog.sqlite",
        "mysql+aiomysql://localhost/catalog",
        "mysql+unheard://localhost/catalog",
        "postgresql+asyncpg://localhost/catalog",
        "oracle://localhost/catalog",
    ],
)
def test_other_databases_and_drivers_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the catalog's URL"):
        make_engine(url, timeout=1)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="the catalog's URL") as caught:
        make_engine("oracle://gateway:secret@localhost/catalog", timeout=1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [("mysql", "mysql+pymysql"), ("mariadb", "mysql+pymysql"), ("postgresql", "postgresql+psycopg")],
)
def test_a_url_without_a_driver_gets_the_one_that_is_tested(scheme: str, driver: str) -> None:
    assert make_engine(f"{scheme}://localhost/catalog", timeout=1).url.drivername == driver


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ValueError, match=r"pip install 'zaqar-gateway\[postgresql\]'"):
        make_engine("postgresql://localhost/catalog", timeout=1)


def test_what_the_url_says_of_timeouts_stays_and_mysql_speaks_whole_utf8() -> None:
    query = make_engine("mysql://h/c?charset=utf8&read_timeout=99&ssl_ca=/ca.pem", timeout=1.5).url.query
    assert query == {
        "charset": "utf8mb4",
        "connect_timeout": "2",
        "read_timeout": "99",
        "write_timeout": "2",
        "ssl_ca": "/ca.pem",
    }


def test_sessions_of_servers_are_in_utc_and_wait_for_nothing_for_long(
    database_server: DatabaseServer,
) -> None:
    names: dict[str, dict[str, object]] = {
        "mysql": {
            "@@time_zone": "+00:00",
            "@@lock_wait_timeout": 2,
            "@@innodb_lock_wait_timeout": 2,
            "@@character_set_client": "utf8mb4",
        },
        "postgresql": {
            "current_setting('TimeZone')": "UTC",
            "current_setting('statement_timeout')": "2500ms",
            "current_setting('lock_timeout')": "2s",
            "current_setting('application_name')": "zaqar-gateway",
        },
    }
    with database_server.database() as url:
        engine = make_engine(url, timeout=2.5)
        for _ in range(2):  # What was set stays when a connection is given back.
            with engine.connect() as connection:
                expected = names[engine.name]
                found = connection.execute(text(f"SELECT {', '.join(expected)}")).one()
                assert list(found) == list(expected.values())
                assert shortcomings(connection) == []
        engine.dispose()


def test_mysql_is_strict(mariadb: DatabaseServer) -> None:
    with mariadb.database() as url:
        engine = make_engine(url, timeout=5)
        with engine.connect() as connection:
            mode = connection.scalar(text("SELECT @@SESSION.sql_mode"))
            assert {"TRADITIONAL", "STRICT_ALL_TABLES"} <= set(mode.split(","))
        engine.dispose()


def test_a_mode_that_is_not_strict_is_told_with_the_remedy(mariadb: DatabaseServer) -> None:
    with mariadb.database() as url:
        engine = make_engine(url, timeout=5)
        # As a proxy does that sets up the sessions itself.
        event.listen(engine, "connect", lambda c, _: c.cursor().execute("SET sql_mode = 'ANSI_QUOTES'"))
        with engine.connect() as connection:
            (warning,) = shortcomings(connection)
        assert "sql_mode is ANSI_QUOTES" in warning
        assert "set sql_mode = TRADITIONAL" in warning
        engine.dispose()


@pytest.mark.filterwarnings("ignore:'db' is deprecated")
def test_another_driver_of_mysql_is_told_with_the_remedy(
    mariadb: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # mysqlclient has the same interface and is not installed: PyMySQL offers to stand in for it.
    monkeypatch.setitem(sys.modules, "MySQLdb", pymysql)
    with mariadb.database() as url:
        engine = make_engine(url.replace("mysql+pymysql", "mysql+mysqldb"), timeout=5)
        with engine.connect() as connection:
            (warning,) = shortcomings(connection)
        assert "use mysql+pymysql://" in warning
        engine.dispose()


def test_a_connection_to_a_server_that_was_restarted_is_replaced_when_it_is_taken(
    database_server: DatabaseServer,
) -> None:
    with database_server.database() as url:
        engine = make_engine(url, timeout=5)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        database_server.restart()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()


def test_a_connection_that_was_idle_for_too_long_is_replaced_when_it_is_taken(
    mariadb: DatabaseServer,
) -> None:
    with mariadb.database() as url:
        engine = make_engine(url, timeout=5)
        mariadb.execute("SET GLOBAL wait_timeout = 1")
        try:
            with engine.connect() as connection:
                first = connection.scalar(text("SELECT CONNECTION_ID()"))
            _wait_for_end_of(mariadb, first)
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT CONNECTION_ID()")) != first
        finally:
            mariadb.execute("SET GLOBAL wait_timeout = 28800")
        engine.dispose()


def test_a_server_that_is_away_is_a_lost_connection(database_server: DatabaseServer) -> None:
    with database_server.database() as url:
        engine = make_engine(url, timeout=5)
        database_server.stop()
        try:
            with pytest.raises(DBConnectionError), engine.connect():
                pass
        finally:
            database_server.start()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()


def test_a_database_that_does_not_exist_is_none_that_is_away(database_server: DatabaseServer) -> None:
    url = make_url(str(database_server.url)).set(database="missing")
    with pytest.raises(DBNonExistentDatabase) as caught:
        make_engine(url.render_as_string(hide_password=False), timeout=5).connect()
    assert "missing" in reason(caught.value)
    assert "sqlalche.me" not in reason(caught.value)


def test_errors_show_nothing_of_what_is_stored(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    values = {"name": "n" * 65, "uri": "redis://:hunter2@host", "weight": 1, "options": "{}", "created": 1}
    with pytest.raises(DBDataError) as caught, engine.connect() as connection:
        connection.execute(insert(pools).values(**values))
    told = "".join(traceback.format_exception(caught.value))
    assert "INSERT INTO pools" in told
    assert "hunter2" not in told + caplog.text


def _wait_for_end_of(server: DatabaseServer, session: int) -> None:
    statement = text(f"SELECT count(*) FROM information_schema.processlist WHERE id = {session}")

    def ended() -> bool:
        with server.engine().connect() as connection:
            return bool(connection.scalar(statement) == 0)

    wait_until(ended)

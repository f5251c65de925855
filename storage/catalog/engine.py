"""The SQL engine, made by oslo.db, with what a durable catalog needs of each database.

oslo.db checks a pooled connection by a ping before it is used, switches SQLite's foreign keys on, and tells
errors apart (`oslo_db.exception`); `storage.catalog.errors` adds what it leaves out. It opens a SQLite file
anew for each transaction and begins transactions itself.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, Final, cast

from oslo_db.sqlalchemy import engines
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from storage.catalog.errors import tell_errors_apart

WRITING: Final = {"catalog_writes": True}
"""Execution options of a connection whose transactions write, which SQLite has to know when they begin."""

_DRIVERS = {"sqlite": "pysqlite", "mysql": "pymysql", "postgresql": "psycopg"}
"""The drivers that the tests run on."""

_CONNECT_TIMEOUT = 2
"""Seconds for one attempt to connect; libpq takes no less. Attempts are repeated by the caller."""

_FOR_LOCKS = 0.8
"""The part of a statement's time that it may wait for a lock, so that this is what it fails with."""

_EXAMPLES = (
    "sqlite:////var/lib/catalog.sqlite, mysql+pymysql://user:password@host/zaqar "
    "or postgresql+psycopg://user:password@host/zaqar"
)


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file, with what its path may hold quoted."""
    return URL.create("sqlite", database=str(file)).render_as_string()


def make_engine(url: str, timeout: float, connections: int = 1) -> Engine:
    """An engine for the catalog. It does not connect yet.

    :param url: a SQLAlchemy URL; `sqlite:////absolute/file`, `mysql+pymysql://…`, `postgresql+psycopg://…`.
    :param timeout: seconds to wait for one answer of the database, or for a lock that somebody else holds.
    :param connections: how many may be open at once. SQLite has one per thread that uses it.
    :raises ValueError: the URL is not one, or not that of a supported database.
    """
    parsed = _supported(url)
    pool = {"max_pool_size": connections, "max_overflow": 0, "pool_timeout": timeout}
    if parsed.drivername == "sqlite+pysqlite":
        pool = {}  # oslo.db hands `pool_timeout` on to a pool that knows none
    engine = cast(
        Engine,
        engines.create_engine(
            _with_options(parsed, timeout),
            sqlite_fk=True,
            mysql_sql_mode="TRADITIONAL",
            **pool,
            # Its own connect retry sleeps up to 100 seconds in the calling thread.
            max_retries=0,
            # There are no green threads to yield to.
            thread_checkin=False,
            _engine_target=_listening_first,
        ),
    )
    if engine.name == "sqlite":
        event.listen(engine, "connect", _make_durable)
    else:
        prepare = _prepare_mysql if engine.name == "mysql" else _prepare_postgresql
        event.listen(engine, "connect", lambda connection, _: prepare(connection, timeout))
    return engine


def _listening_first(url: URL, **options: Any) -> tuple[Engine, Engine]:
    """An engine with the listeners that have to come before oslo.db's. (SQLAlchemy ignores `insert` here.)"""
    # Not even an error shows what is stored: URIs of pools hold passwords.
    engine = create_engine(url, hide_parameters=True, **options)
    tell_errors_apart(engine)
    if engine.name == "sqlite":
        event.listen(engine, "begin", _begin_to_write)
    return engine, engine


def shortcomings(connection: Connection) -> list[str]:
    """What is not as it should be about a connection, each with the remedy. To be logged as warnings."""
    found = []
    driver = connection.dialect.driver
    if connection.dialect.name == "mysql":
        if driver != "pymysql":
            found.append(
                f"the driver {driver} is not tested with the catalog: use mysql+pymysql:// in its URL"
            )
        mode = str(connection.scalar(text("SELECT @@SESSION.sql_mode")))
        if not {"TRADITIONAL", "STRICT_ALL_TABLES"} & set(mode.upper().split(",")):
            found.append(
                f"the database's sql_mode is {mode or 'empty'}, so it cuts off what is too long: let the "
                "catalog's user (or the proxy before the database) set sql_mode = TRADITIONAL"
            )
    return found


def reason(error: Exception) -> str:
    """What the database said, on one line, without the statement and SQLAlchemy's address for help."""
    original = getattr(error, "inner_exception", None) or error
    return " ".join(str(getattr(original, "orig", None) or original).partition("[SQL:")[0].split())


def _supported(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(f"the catalog's URL is not one: {error}") from error
    name, _, driver = parsed.drivername.partition("+")
    # The dialect mysql knows MariaDB by its version; of one named mariadb oslo.db knows no errors.
    name = {"mariadb": "mysql"}.get(name, name)
    driver = driver or _DRIVERS.get(name, "")
    parsed = parsed.set(drivername=f"{name}+{driver}")
    # Other drivers of MySQL are up to who names them, with a warning (see `shortcomings`).
    if name not in _DRIVERS or (driver != _DRIVERS[name] and (name != "mysql" or _is_async(parsed))):
        raise ValueError(f"the catalog's URL must be one such as {_EXAMPLES}; not {parsed!r}")
    if name == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError(f"the catalog's URL must name a SQLite file, as {_EXAMPLES}; not {parsed!r}")
    if name == "postgresql" and importlib.util.find_spec("psycopg") is None:
        raise ValueError("the catalog's URL needs psycopg: pip install 'zaqar-gateway[postgresql]'")
    return parsed


def _is_async(url: URL) -> bool:
    try:
        return bool(url.get_dialect().is_async)
    # SQLAlchemy knows no such driver, or it is not installed.
    except (ArgumentError, ImportError):
        return True


def _with_options(url: URL, timeout: float) -> URL:
    """The URL with what the drivers take from there. What it says itself of time-outs stays."""
    seconds = str(max(2, math.ceil(timeout)))
    given = dict(url.query)
    if url.drivername == "sqlite+pysqlite":
        return url.update_query_dict({"timeout": str(timeout)})
    if url.drivername == "mysql+pymysql":
        defaults = {
            "connect_timeout": str(_CONNECT_TIMEOUT),
            "read_timeout": seconds,
            "write_timeout": seconds,
        }
        # MySQL's own utf8 has three bytes at most.
        return url.set(query={**defaults, **given, "charset": "utf8mb4"})
    if url.drivername == "postgresql+psycopg":
        defaults = {
            "connect_timeout": str(_CONNECT_TIMEOUT),
            "application_name": "zaqar-gateway",
            # A server that went away without a word: Linux gives the connection up.
            "tcp_user_timeout": str(int(seconds) * 1000),
        }
        return url.set(query={**defaults, **given})
    return url.update_query_dict({"charset": "utf8mb4"})


def _make_durable(connection: Any, _record: object) -> None:
    """What is committed is on disk (PRAGMA synchronous), and readers do not wait (PRAGMA journal_mode)."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_to_write(connection: Connection) -> None:
    """Take SQLite's lock to write at the start. Who reads first and then wants it may not get it."""
    if connection.get_execution_options().get("catalog_writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.info["in_transaction"] = True


def _prepare_mysql(connection: Any, timeout: float) -> None:
    seconds = max(1, int(timeout * _FOR_LOCKS))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET time_zone = '+00:00', lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
        )


def _prepare_postgresql(connection: Any, timeout: float) -> None:
    milliseconds = max(1, math.ceil(timeout * 1000))
    # What is set within a transaction would be undone with it.
    connection.autocommit = True
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute(f"SET statement_timeout = {milliseconds}")
    connection.execute(f"SET lock_timeout = {max(1, int(milliseconds * _FOR_LOCKS))}")
    connection.autocommit = False

"""The SQL engine, made by oslo.db, with what a durable catalog needs of SQLite.

oslo.db tells errors apart on every database (`oslo_db.exception`) and switches foreign keys on. It opens
a SQLite file anew for each transaction and begins transactions itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from oslo_db.sqlalchemy import engines
from sqlalchemy import URL, Engine, event, make_url
from sqlalchemy.exc import ArgumentError


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file, with what its path may hold quoted."""
    return URL.create("sqlite", database=str(file)).render_as_string()


def make_engine(url: str, lock_timeout: float) -> Engine:
    """An engine for the catalog. It does not connect yet.

    :param url: a SQLAlchemy URL; `sqlite:///relative/file` or `sqlite:////absolute/file`.
    :param lock_timeout: seconds to wait while another process holds the database's lock.
    :raises ValueError: the URL names no SQLite file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(f"the catalog's URL is not one: {error}") from error
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or parsed.database in (None, "", ":memory:"):
        raise ValueError(
            f"the catalog's URL must name a SQLite file, as sqlite:////var/lib/catalog.sqlite; not {parsed!r}"
        )
    engine = cast(
        Engine,
        engines.create_engine(
            parsed.update_query_dict({"timeout": str(lock_timeout)}),
            sqlite_fk=True,
            # Its own connect retry sleeps up to 100 seconds in the calling thread.
            max_retries=0,
            # There are no green threads to yield to.
            thread_checkin=False,
        ),
    )
    event.listen(engine, "connect", _make_durable)
    return engine


def _make_durable(connection: Any, _record: object) -> None:
    """What is committed is on disk (PRAGMA synchronous), and readers do not wait (PRAGMA journal_mode)."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")

"""The schema of the catalog: which revision a database has, and the way to another one.

A schema and the gateway fit if they are of the same revision, or if the schema is one revision newer: a
migration only adds what the gateway before it can leave alone. So the schema is upgraded first, then the
nodes one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from oslo_db.exception import DBDeadlock
from sqlalchemy import Connection, Engine, inspect, text

from storage.catalog.engine import WRITING
from storage.catalog.tables import REVISION

LOCK_PATIENCE = 60
"""Seconds to wait while another program migrates the same database."""

_LOCK = 0x7A61716172
"""The number of the lock on PostgreSQL; any, but always the same."""


class SchemaError(Exception):
    """The database's schema does not fit this gateway. The message says what to run."""


def found_revision(connection: Connection) -> str | None:
    """The revision that the database has; None: it has none, so it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def check(found: str | None) -> str:
    """Whether the gateway can work on a schema of this revision.

    :return: a warning, or nothing.
    :raises SchemaError: it cannot.
    """
    if found == REVISION:
        return ""
    if found is None:
        raise SchemaError(
            "the catalog's database has no tables yet: run zaqar-gateway catalog upgrade with the same "
            "settings"
        )
    if not found.isdigit() or int(found) > int(REVISION) + 1:
        raise SchemaError(
            f"the catalog's schema is of revision {found}, this gateway's is {REVISION}: run a newer version "
            f"of the gateway, or with that one zaqar-gateway catalog downgrade --revision {REVISION}"
        )
    if int(found) < int(REVISION):
        raise SchemaError(
            f"the catalog's schema is of revision {found}, this gateway needs {REVISION}: run "
            "zaqar-gateway catalog upgrade with the same settings"
        )
    return f"the catalog's schema {found} is newer than this gateway's {REVISION}: upgrade the gateway soon"


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate to a newer revision, the newest by default. Nothing happens if the database has it.

    :raises SchemaError: there is no such revision, or the database has one that is not known here.
    """
    _migrate(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str = "-1") -> None:
    """Migrate to an older revision, by default the one before. What only the newer one knows is lost.

    :raises SchemaError: there is no such revision, or queues would be lost.
    """
    _migrate(engine, lambda config: command.downgrade(config, revision))


def revisions() -> list[str]:
    """The revisions that this gateway has migrations for, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def _config() -> Config:
    config = Config()
    # Alembic takes % for the start of a variable.
    folder = str(Path(__file__).with_name("migrations")).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    return config


def _migrate(engine: Engine, migrate: Callable[[Config], None]) -> None:
    config = _config()
    with engine.connect().execution_options(**WRITING) as connection:
        # Not back to the pool but closed in the end: that is what lets go of MySQL's lock, after the commit.
        connection.detach()
        with connection.begin():
            _wait_for_others(connection)
            config.attributes["connection"] = connection
            try:
                migrate(config)
            except (CommandError, ValueError) as error:
                raise SchemaError(str(error)) from error


def _wait_for_others(connection: Connection) -> None:
    """From here on nobody else migrates. SQLite needs nothing: the transaction was begun to write."""
    try:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        elif connection.dialect.name == "mysql":
            connection.execute(text(f"SET lock_wait_timeout = {LOCK_PATIENCE}"))
            lock = text(f"SELECT GET_LOCK(CONCAT('zaqar-gateway ', DATABASE()), {LOCK_PATIENCE})")
            if connection.scalar(lock) != 1:
                raise DBDeadlock
    except DBDeadlock as error:
        raise SchemaError(
            f"another program has been migrating the catalog for {LOCK_PATIENCE} seconds; try again later"
        ) from error

"""What Alembic runs for each command: the migrations, on the connection of `storage.catalog.schema`."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.migration import MigrationContext
from sqlalchemy import text


def _commit_where_tables_are(ctx: MigrationContext, step: Any, heads: Any, run_args: Any) -> None:
    """MySQL commits at each change of a table by itself: the revision has to keep up with that."""
    if ctx.connection is not None and ctx.dialect.name == "mysql":
        ctx.connection.execute(text("COMMIT"))


# The caller's transaction holds all of it, and commits.
connection = context.config.attributes["connection"]
context.configure(connection=connection, on_version_apply=_commit_where_tables_are)
context.run_migrations()

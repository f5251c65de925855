"""What Alembic runs for each command: the migrations, on the connection of `storage.catalog.schema`."""

from __future__ import annotations

from alembic import context

# The caller's transaction holds all of it, and commits. MySQL commits at each change of a table by itself.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()

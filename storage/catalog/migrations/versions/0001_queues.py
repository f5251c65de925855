"""Queues, all in one store."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, UniqueConstraint, text

from storage.catalog.tables import Identifier, Json, Number

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "queues",
        Column("incarnation", Number, primary_key=True, autoincrement=False),
        Column("project", Identifier(256, width=4), nullable=False),
        Column("name", Identifier(64), nullable=False),
        Column("metadata", Json, nullable=False),
        Column("serial", BigInteger(), nullable=False),
        Column("created", BigInteger(), nullable=False),
        UniqueConstraint("project", "name", name="uniq_queues0project0name"),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def downgrade() -> None:
    if op.get_bind().scalar(text("SELECT 1 FROM queues LIMIT 1")) is not None:
        raise ValueError("There are queues; going back before 0001 would lose them. Delete them first.")
    op.drop_table("queues")

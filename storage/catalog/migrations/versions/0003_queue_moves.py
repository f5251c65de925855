"""Queues on their way to another pool. A gateway of revision 0002 leaves them alone."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Text,
    inspect,
    text,
)

from storage.catalog.tables import Identifier, Number

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "queue_moves",
        Column("incarnation", Number, nullable=False, autoincrement=False),
        Column("to_pool", Identifier(64), nullable=False),
        Column("token", Identifier(32), nullable=False),
        Column("step", Identifier(16), nullable=False),
        Column("progress", Text(), nullable=False),
        Column("created", BigInteger(), nullable=False),
        PrimaryKeyConstraint("incarnation", name="pk_queue_moves"),
        ForeignKeyConstraint(
            ["incarnation"], ["queues.incarnation"], name="fk_queue_moves_incarnation", ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["to_pool"], ["pools.name"], name="fk_queue_moves_to_pool"),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )
    indexes = inspect(op.get_bind()).get_indexes("queue_moves")
    if all(index["name"] != "ix_queue_moves_to_pool" for index in indexes):
        op.create_index("ix_queue_moves_to_pool", "queue_moves", ["to_pool"])


def downgrade() -> None:
    if inspect(op.get_bind()).has_table("queue_moves"):
        if count := op.get_bind().scalar(text("SELECT count(*) FROM queue_moves")):
            raise ValueError(
                f"Queues on their way to another pool: {count}. A gateway of revision 0002 would not find "
                "them there. Finish their moves first."
            )
        op.drop_table("queue_moves")

"""Pools and flavors. All queues are in the pool `default`, which is the store that there was.

A gateway of revision 0001 goes on working: it reads and writes only the columns that it knows, and the
queues it creates belong to `default`. MySQL commits at each change of a table, so each step can be taken
again after a crash.
"""

from __future__ import annotations

import time
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    inspect,
    text,
)

from storage.catalog.tables import Identifier, Json, Number, short_enough

revision = "0002"
down_revision = "0001"

_OPTIONS: dict[str, Any] = {"if_not_exists": True, "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "pools",
        Column("id", Number, nullable=False),
        Column("name", Identifier(64), nullable=False),
        Column("uri", Text(), nullable=False),
        Column("weight", BigInteger(), nullable=False),
        Column("options", Json, nullable=False),
        Column("created", BigInteger(), nullable=False),
        PrimaryKeyConstraint("id", name="pk_pools"),
        UniqueConstraint("name", name="uniq_pools0name"),
        CheckConstraint(short_enough("name", 64), name="short_pools_name").ddl_if(dialect="sqlite"),
        **_OPTIONS,
    )
    op.create_table(
        "flavors",
        Column("id", Number, nullable=False),
        Column("name", Identifier(64), nullable=False),
        Column("created", BigInteger(), nullable=False),
        PrimaryKeyConstraint("id", name="pk_flavors"),
        UniqueConstraint("name", name="uniq_flavors0name"),
        CheckConstraint(short_enough("name", 64), name="short_flavors_name").ddl_if(dialect="sqlite"),
        **_OPTIONS,
    )
    op.create_table(
        "flavor_pools",
        Column("flavor", Identifier(64), nullable=False),
        Column("pool", Identifier(64), nullable=False),
        PrimaryKeyConstraint("flavor", "pool", name="pk_flavor_pools"),
        ForeignKeyConstraint(["flavor"], ["flavors.name"], name="fk_flavor_pools_flavor", ondelete="CASCADE"),
        ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_flavor_pools_pool"),
        **_OPTIONS,
    )
    indexes = inspect(op.get_bind()).get_indexes("flavor_pools")
    if all(index["name"] != "ix_flavor_pools_pool" for index in indexes):
        op.create_index("ix_flavor_pools_pool", "flavor_pools", ["pool"])
    default = text(
        "INSERT INTO pools (name, uri, weight, options, created) SELECT 'default', '', 100, '{}', :now"
        " WHERE NOT EXISTS (SELECT 1 FROM pools WHERE name = 'default')"
    )
    op.execute(default.bindparams(now=time.time_ns() // 1000))
    if _queues_have_pools():
        return
    if op.get_context().dialect.name == "mysql":
        # One statement, which is done wholly or not at all.
        op.execute(
            "ALTER TABLE queues ADD COLUMN pool VARBINARY(64) NOT NULL DEFAULT 'default',"
            " ADD INDEX ix_queues_pool (pool),"
            " ADD CONSTRAINT fk_queues_pool FOREIGN KEY (pool) REFERENCES pools (name)"
        )
        return
    lengths = (
        CheckConstraint(short_enough("project", 1024), name="short_queues_project"),
        CheckConstraint(short_enough("name", 64), name="short_queues_name"),
    )
    # SQLite makes the table anew for a foreign key; the lengths are only for what is made anew.
    with op.batch_alter_table("queues", table_args=lengths) as queues:
        queues.add_column(Column("pool", Identifier(64), nullable=False, server_default="default"))
        queues.create_foreign_key("fk_queues_pool", "pools", ["pool"], ["name"])
        queues.create_index("ix_queues_pool", ["pool"])


def downgrade() -> None:
    if _queues_have_pools():
        elsewhere = text("SELECT count(*) FROM queues WHERE pool <> 'default'")
        if count := op.get_bind().scalar(elsewhere):
            raise ValueError(
                f"Queues in other pools than default: {count}. A gateway of revision 0001 would not find "
                "their messages. Move them to default or delete them first."
            )
        dialect = op.get_context().dialect.name
        if dialect == "mysql":
            op.execute(
                "ALTER TABLE queues DROP FOREIGN KEY fk_queues_pool, DROP INDEX ix_queues_pool,"
                " DROP COLUMN pool"
            )
        else:
            with op.batch_alter_table("queues") as queues:
                queues.drop_constraint("fk_queues_pool", type_="foreignkey")
                queues.drop_index("ix_queues_pool")
                queues.drop_column("pool")
                if dialect == "sqlite":
                    queues.drop_constraint("short_queues_project", type_="check")
                    queues.drop_constraint("short_queues_name", type_="check")
    for table in ("flavor_pools", "flavors", "pools"):
        op.drop_table(table, if_exists=True)


def _queues_have_pools() -> bool:
    return any(column["name"] == "pool" for column in inspect(op.get_bind()).get_columns("queues"))

"""The catalog's tables, in SQLAlchemy Core, as the newest migration leaves them.

Constraints that something may run into have names that oslo.db reads the columns out of on every database:
`uniq_<table>0<column>0<column>`. MySQL calls each primary key PRIMARY, so what people name has a unique
constraint of its own beside the key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARBINARY

from storage.pools import DEFAULT_POOL

REVISION = "0003"
"""The migration that this version of the gateway is written for. Revisions are counted without gaps."""


class Identifier(TypeDecorator[str]):
    """A name that is compared and ordered byte by byte, without padding, on every database.

    SQLite does that by itself. PostgreSQL does with the collation "C". Each of MySQL's collations that
    MariaDB has too folds or pads (`utf8mb4_bin` takes "a" for "a "), so there it is kept as bytes.

    :param length: the longest, in characters.
    :param width: the most bytes that one of its characters has in UTF-8.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int, width: int = 1) -> None:
        super().__init__(length)
        self.length = length
        self.width = width

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "mysql":
            return dialect.type_descriptor(VARBINARY(self.length * self.width))
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(self.length, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value.encode() if value is not None and dialect.name == "mysql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


def short_enough(column: str, size: int) -> str:
    """The condition that a text has at most so many bytes, for SQLite, which knows no lengths."""
    return f"length(CAST({column} AS BLOB)) <= {size}"


# In SQLite only INTEGER makes the key the row's own number; it holds 64 bits all the same.
Number = BigInteger().with_variant(Integer(), "sqlite")

# JSON in ASCII, so that no database's character set matters. MySQL's TEXT ends at 64 kB, which is too little
# for the largest metadata: 65,536 characters, of which one may take 12 bytes.
Json = Text().with_variant(MEDIUMTEXT(), "mysql")


def dump(value: Mapping[str, Any]) -> str:
    """What a column of JSON is given. TypeError or ValueError for what is no JSON."""
    return json.dumps(dict(value), separators=(",", ":"), allow_nan=False)


def load(text: str) -> dict[str, Any]:
    """What `dump` was given."""
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def now() -> int:
    """What a column `created` is given: microseconds since the epoch on this machine's clock."""
    return time.time_ns() // 1000


metadata = MetaData()

_options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}

pools = Table(
    "pools",
    metadata,
    Column("id", Number, nullable=False),
    Column("name", Identifier(64), nullable=False),
    # As it was given, with its password. Empty for the default pool: each gateway knows its own.
    Column("uri", Text(), nullable=False),
    Column("weight", BigInteger(), nullable=False),
    Column("options", Json, nullable=False),
    Column("created", BigInteger(), nullable=False),
    PrimaryKeyConstraint("id", name="pk_pools"),
    UniqueConstraint("name", name="uniq_pools0name"),
    CheckConstraint(short_enough("name", 64), name="short_pools_name").ddl_if(dialect="sqlite"),
    **_options,
)

flavors = Table(
    "flavors",
    metadata,
    Column("id", Number, nullable=False),
    Column("name", Identifier(64), nullable=False),
    Column("created", BigInteger(), nullable=False),
    PrimaryKeyConstraint("id", name="pk_flavors"),
    UniqueConstraint("name", name="uniq_flavors0name"),
    CheckConstraint(short_enough("name", 64), name="short_flavors_name").ddl_if(dialect="sqlite"),
    **_options,
)

flavor_pools = Table(
    "flavor_pools",
    metadata,
    Column("flavor", Identifier(64), nullable=False),
    Column("pool", Identifier(64), nullable=False),
    PrimaryKeyConstraint("flavor", "pool", name="pk_flavor_pools"),
    ForeignKeyConstraint(["flavor"], ["flavors.name"], name="fk_flavor_pools_flavor", ondelete="CASCADE"),
    ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_flavor_pools_pool"),
    Index("ix_flavor_pools_pool", "pool"),
    **_options,
)

queues = Table(
    "queues",
    metadata,
    Column("incarnation", Number, primary_key=True, autoincrement=False),
    # Of any alphabet, up to four bytes a character.
    Column("project", Identifier(256, width=4), nullable=False),
    Column("name", Identifier(64), nullable=False),
    Column("metadata", Json, nullable=False),
    # Grows by one with each change of the metadata: compare and swap.
    Column("serial", BigInteger(), nullable=False),
    Column("created", BigInteger(), nullable=False),
    # A gateway of the version before does not know the column and means this pool.
    Column("pool", Identifier(64), nullable=False, server_default=DEFAULT_POOL),
    UniqueConstraint("project", "name", name="uniq_queues0project0name"),
    ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_queues_pool"),
    Index("ix_queues_pool", "pool"),
    CheckConstraint(short_enough("project", 1024), name="short_queues_project").ddl_if(dialect="sqlite"),
    CheckConstraint(short_enough("name", 64), name="short_queues_name").ddl_if(dialect="sqlite"),
    **_options,
)

# Queues on their way to another pool; a row goes when the move has ended, or with its queue.
queue_moves = Table(
    "queue_moves",
    metadata,
    Column("incarnation", Number, nullable=False, autoincrement=False),
    Column("to_pool", Identifier(64), nullable=False),
    # 32 hexadecimal digits, or nothing.
    Column("token", Identifier(32), nullable=False),
    Column("step", Identifier(16), nullable=False),
    Column("progress", Text(), nullable=False),
    Column("created", BigInteger(), nullable=False),
    PrimaryKeyConstraint("incarnation", name="pk_queue_moves"),
    ForeignKeyConstraint(
        ["incarnation"], ["queues.incarnation"], name="fk_queue_moves_incarnation", ondelete="CASCADE"
    ),
    ForeignKeyConstraint(["to_pool"], ["pools.name"], name="fk_queue_moves_to_pool"),
    Index("ix_queue_moves_to_pool", "to_pool"),
    **_options,
)

"""The catalog's tables, in SQLAlchemy Core.

Names are compared and ordered byte by byte: SQLite's own collation (BINARY) does that.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
)

SCHEMA_VERSION = "0001"

metadata = MetaData()

queues = Table(
    "queues",
    metadata,
    # In SQLite only INTEGER makes the key the row's own number; it holds 64 bits all the same.
    Column(
        "incarnation", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("project", String(256), nullable=False),
    Column("name", String(64), nullable=False),
    # JSON in ASCII, so that no database's character set matters.
    Column("metadata", Text(), nullable=False),
    # Grows by one with each change of the metadata: compare and swap.
    Column("serial", BigInteger(), nullable=False),
    # Microseconds since the epoch, on the clock of the gateway that created it. For people only.
    Column("created", BigInteger(), nullable=False),
    # oslo.db reads the columns out of this form of a name: uniq_<table>0<column>0<column>.
    UniqueConstraint("project", "name", name="uniq_queues0project0name"),
)

# Where Alembic keeps the version of a schema, in its own form: migrations can start from here.
schema_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), primary_key=True),
)


class WrongSchema(Exception):
    """The database holds tables of another version of the gateway."""


def prepare(connection: Connection) -> None:
    """Make the tables if the database is empty.

    :raises WrongSchema: the tables are of another version; nothing was changed.
    """
    schema_version.create(connection, checkfirst=True)
    found = connection.execute(select(schema_version.c.version_num)).scalar_one_or_none()
    if found is None:
        queues.create(connection, checkfirst=True)
        connection.execute(insert(schema_version).values(version_num=SCHEMA_VERSION))
    elif found != SCHEMA_VERSION:
        raise WrongSchema(
            f"the catalog's tables are of version {found}; this gateway needs version {SCHEMA_VERSION}"
        )

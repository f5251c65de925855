"""Copies a whole catalog into the empty database of another: from SQLite to a server, most of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Column, Connection, Engine, Table, delete, func, insert, select

from storage.catalog.engine import WRITING
from storage.catalog.schema import SchemaError, found_revision
from storage.catalog.tables import REVISION, flavor_pools, flavors, metadata, pools, queues

BATCH = 1000
"""Rows that one statement carries."""


class CopyError(Exception):
    """The catalog was not copied, and the target is as it was. The message says why."""


def copy(source: Engine, target: Engine, progress: Callable[[int, int], None]) -> int:
    """Copy pools, flavors and queues, all or nothing. No gateway may use either meanwhile.

    :param progress: is told how many queues were copied, and how many there are.
    :return: the number of queues.
    :raises SchemaError: one of them is not of this gateway's revision.
    :raises CopyError: the target is not empty.
    """
    with source.connect() as reading, target.connect().execution_options(**WRITING) as writing:
        for connection, which in ((reading, "the source"), (writing, "the target")):
            found = found_revision(connection)
            if found != REVISION:
                raise SchemaError(
                    f"{which}'s schema is of revision {found or 'none'}, not {REVISION}: run zaqar-gateway "
                    "catalog upgrade on it"
                )
        writing.rollback()
        with writing.begin():
            _require_empty(writing)
            # The default pool stands in every catalog; its weight and flavors come from the source.
            writing.execute(delete(pools))
            total = reading.scalar(select(func.count()).select_from(queues)) or 0
            for table in metadata.sorted_tables:
                done = 0
                for rows in _rows(reading, table):
                    writing.execute(insert(table), rows)
                    done += len(rows)
                    if table is queues:
                        progress(done, total)
    return total


def _require_empty(connection: Connection) -> None:
    for table in (queues, flavors, flavor_pools):
        if connection.execute(select(table).limit(1)).first() is not None:
            raise CopyError(f"the target is not empty: its table {table.name} has rows")


def _rows(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """All rows, in batches, without the numbers that each database draws itself."""
    columns = [column for column in table.columns if not _drawn(column)]
    found = connection.execution_options(yield_per=BATCH).execute(select(*columns))
    for rows in found.mappings().partitions(BATCH):
        yield [dict(row) for row in rows]


def _drawn(column: Column[Any]) -> bool:
    return column.name == "id"

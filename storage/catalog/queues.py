"""The statements on queues. They run in a thread of the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from oslo_db.exception import DBDuplicateEntry, DBReferenceError
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from protocol.identifiers import new_incarnation
from protocol.metadata import settings
from storage.catalog.placement import choose_pool, require_flavor
from storage.catalog.tables import dump, load, now, queues
from storage.catalog.transactions import Transactions
from storage.errors import CatalogUnavailable, TooManyQueues
from storage.records import Queue

_CREATE_ATTEMPTS = 5
"""More are needed only if others create and delete the queue in between, or remove pools that are chosen."""


def create(
    transactions: Transactions, project: str, name: str, metadata: Mapping[str, Any], most: int
) -> tuple[Queue, bool]:
    """The queue, and whether this created it. TooManyQueues if the project has `most` others; 0: no limit."""
    text = dump(metadata)
    drawn = set()
    for _ in range(_CREATE_ATTEMPTS):
        existing = get(transactions, project, name)
        if existing is not None:
            # An answer that was lost: the row is there because this put it there.
            return existing, existing.incarnation in drawn
        queue = Queue(project, name, new_incarnation(), load(text))
        drawn.add(queue.incarnation)
        try:
            return _insert(transactions, queue, text, most), True
        # Somebody was faster, or removed the pool that was chosen just now.
        except (DBDuplicateEntry, DBReferenceError):
            continue
    raise CatalogUnavailable(f"Queue {name} is being created and deleted by others. Try again.")


def get(transactions: Transactions, project: str, name: str) -> Queue | None:
    """One queue."""
    found = fetch(
        transactions, queues.c.project == project, queues.c.name == name, order=queues.c.name, limit=1
    )
    return found[0] if found else None


def change(transactions: Transactions, queue: Queue, metadata: Mapping[str, Any]) -> bool:
    """Replace the metadata if they are still those of `queue`."""
    statement = (
        update(queues)
        .where(queues.c.incarnation == queue.incarnation, queues.c.serial == queue.serial)
        .values(metadata=dump(metadata), serial=queue.serial + 1)
    )
    flavor = settings(metadata).flavor

    def work(connection: Connection) -> bool:
        if flavor is not None and flavor != queue.settings.flavor:
            require_flavor(connection, flavor)
        return connection.execute(statement).rowcount == 1

    return transactions.write(work)


def remove(transactions: Transactions, queue: Queue) -> None:
    """Remove this incarnation of a queue, if it is there."""
    statement = delete(queues).where(queues.c.incarnation == queue.incarnation)
    transactions.write(lambda connection: connection.execute(statement), repeatable=True)


def fetch(
    transactions: Transactions, *conditions: ColumnElement[bool], order: ColumnElement[Any], limit: int
) -> list[Queue]:
    """Up to `limit` queues for which all conditions hold, in order."""
    statement = select(queues).where(*conditions).order_by(order).limit(limit)
    return transactions.read(lambda connection: [_queue(row) for row in connection.execute(statement)])


def count(transactions: Transactions, project: str) -> int:
    """How many queues a project has."""
    statement = select(func.count()).select_from(queues).where(queues.c.project == project)
    return transactions.read(lambda connection: connection.execute(statement).scalar_one())


def versions(transactions: Transactions, incarnations: Collection[int]) -> dict[int, tuple[int, str]]:
    """The serial and the pool of each that is there, by incarnation."""
    columns = select(queues.c.incarnation, queues.c.serial, queues.c.pool)
    statement = columns.where(queues.c.incarnation.in_(incarnations))
    return transactions.read(
        lambda connection: {row.incarnation: (row.serial, row.pool) for row in connection.execute(statement)}
    )


def _insert(transactions: Transactions, queue: Queue, text: str, most: int) -> Queue:
    """Put a new queue into a pool; the queue with that."""

    def work(connection: Connection) -> Queue:
        if most:
            _require_room(connection, queue, most)
        placed = replace(queue, pool=choose_pool(connection, queue.settings.flavor))
        values = {"incarnation": placed.incarnation, "project": placed.project, "name": placed.name}
        values |= {"metadata": text, "serial": placed.serial, "created": now(), "pool": placed.pool}
        connection.execute(insert(queues).values(values))
        return placed

    return transactions.write(work, repeatable=True)


def _require_room(connection: Connection, queue: Queue, most: int) -> None:
    """Raise TooManyQueues if the project has `most` queues besides this one.

    Only index entries are read, and no more than `most`. On a server, transactions at the same instant do not
    see each other's rows: each may add one too many.
    """
    others = select(queues.c.name).where(queues.c.project == queue.project, queues.c.name != queue.name)
    count = select(func.count()).select_from(others.limit(most).subquery())
    if connection.execute(count).scalar_one() >= most:
        raise TooManyQueues(
            f"The project has {most} queues, as many as it may have. Delete one of them first."
        )


def _queue(row: Row[Any]) -> Queue:
    return Queue(row.project, row.name, row.incarnation, load(row.metadata), row.serial, row.pool)

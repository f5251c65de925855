"""The statements on queues. They run in a thread of the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from oslo_db.exception import DBDuplicateEntry, DBReferenceError
from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from protocol.identifiers import new_incarnation
from storage.base import Queue
from storage.catalog.tables import dump, load, now, queues
from storage.catalog.transactions import Transactions
from storage.errors import CatalogUnavailable, UnknownPool

_CREATE_ATTEMPTS = 5
"""More are needed only if others create and delete the queue in between, or an incarnation is drawn twice."""


def create(
    transactions: Transactions, project: str, name: str, metadata: Mapping[str, Any], pool: str
) -> tuple[Queue, bool]:
    """The queue, and whether this created it."""
    text = dump(metadata)
    drawn = set()
    for _ in range(_CREATE_ATTEMPTS):
        existing = get(transactions, project, name)
        if existing is not None:
            # An answer that was lost: the row is there because this put it there.
            return existing, existing.incarnation in drawn
        queue = Queue(project, name, new_incarnation(), load(text), pool=pool)
        drawn.add(queue.incarnation)
        try:
            _insert(transactions, queue, text)
        except DBDuplicateEntry:
            continue
        except DBReferenceError as error:
            raise UnknownPool(f"There is no pool {pool}.") from error
        return queue, True
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
    return transactions.write(lambda connection: connection.execute(statement).rowcount == 1)


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


def versions(transactions: Transactions, incarnations: Collection[int]) -> dict[int, tuple[int, str]]:
    """The serial and the pool of each that is there, by incarnation."""
    columns = select(queues.c.incarnation, queues.c.serial, queues.c.pool)
    statement = columns.where(queues.c.incarnation.in_(incarnations))
    return transactions.read(
        lambda connection: {row.incarnation: (row.serial, row.pool) for row in connection.execute(statement)}
    )


def _insert(transactions: Transactions, queue: Queue, text: str) -> None:
    statement = insert(queues).values(
        incarnation=queue.incarnation,
        project=queue.project,
        name=queue.name,
        metadata=text,
        serial=queue.serial,
        created=now(),
        pool=queue.pool,
    )
    transactions.write(lambda connection: connection.execute(statement), repeatable=True)


def _queue(row: Row[Any]) -> Queue:
    return Queue(row.project, row.name, row.incarnation, load(row.metadata), row.serial, row.pool)

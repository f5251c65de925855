"""The statements on moves of queues. They run in a thread of the catalog."""

from __future__ import annotations

from oslo_db.exception import DBDuplicateEntry, DBReferenceError
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from storage.catalog.tables import now, queue_moves, queues
from storage.catalog.transactions import Transactions
from storage.errors import CatalogUnavailable, MoveUnfinished, NoQueue, UnknownPool
from storage.moves import Move
from storage.records import Queue

_BEGIN_ATTEMPTS = 3
"""More are needed only if others begin and end moves of the queue in between."""


def begin(transactions: Transactions, queue: Queue, to_pool: str) -> Move:
    """The unfinished move of a queue to a pool, which begins now if there is none."""
    new = Move(queue.incarnation, to_pool, b"")
    statement = insert(queue_moves).values(incarnation=queue.incarnation, **_values(new), created=now())
    for _ in range(_BEGIN_ATTEMPTS):
        for found in fetch(transactions, queue_moves.c.incarnation == queue.incarnation, limit=1):
            if found.to_pool != to_pool:
                raise MoveUnfinished(
                    f"The move of queue {queue.name} to pool {found.to_pool} has not ended: finish it by the "
                    f"same command, or move the queue to {queue.pool}, where it is, to give that move up."
                )
            return found
        try:
            transactions.write(lambda connection: connection.execute(statement), repeatable=True)
        except DBDuplicateEntry:
            continue
        except DBReferenceError as error:
            if not _has_queue(transactions, queue):
                raise NoQueue from error
            raise UnknownPool(f"There is no pool {to_pool}.") from error
        return new
    raise CatalogUnavailable(f"Queue {queue.name} is being moved by others. Try again.")


def fetch(transactions: Transactions, *conditions: ColumnElement[bool], limit: int) -> list[Move]:
    """Up to `limit` moves by incarnation for which all conditions hold."""
    statement = select(queue_moves).where(*conditions).order_by(queue_moves.c.incarnation).limit(limit)
    return transactions.read(
        lambda connection: [
            Move(row.incarnation, row.to_pool, bytes.fromhex(row.token), row.step, row.progress)
            for row in connection.execute(statement)
        ]
    )


def record(transactions: Transactions, was: Move, becomes: Move) -> bool:
    """Write down how far a move is, if its token is still that of `was`."""
    table = queue_moves.c
    mine = (table.incarnation == was.incarnation, table.to_pool == was.to_pool)

    def work(connection: Connection) -> bool:
        token = connection.scalar(select(table.token).where(*mine).with_for_update())
        # The new token, if this is done once more because its answer was lost.
        if token is None or bytes.fromhex(token) not in (was.token, becomes.token):
            return False
        connection.execute(update(queue_moves).where(*mine).values(_values(becomes)))
        return True

    return transactions.write(work, repeatable=True)


def switch(transactions: Transactions, queue: Queue, pool: str) -> bool:
    """Say that a queue is in `pool`, if it is still said to be in `queue.pool`."""
    here = queues.c.incarnation == queue.incarnation

    def work(connection: Connection) -> bool:
        said = connection.scalar(select(queues.c.pool).where(here).with_for_update())
        if said == queue.pool:
            connection.execute(update(queues).where(here).values(pool=pool))
        elif said != pool:
            return False
        table = queue_moves.c
        ending = delete(queue_moves).where(table.incarnation == queue.incarnation, table.to_pool == pool)
        connection.execute(ending)
        return True

    try:
        return transactions.write(work, repeatable=True)
    except DBReferenceError as error:
        raise UnknownPool(f"There is no pool {pool}.") from error


def end(transactions: Transactions, queue: Queue) -> None:
    """Forget the unfinished move of a queue."""
    statement = delete(queue_moves).where(queue_moves.c.incarnation == queue.incarnation)
    transactions.write(lambda connection: connection.execute(statement), repeatable=True)


def _values(move: Move) -> dict[str, str]:
    return {
        "to_pool": move.to_pool,
        "token": move.token.hex(),
        "step": move.step,
        "progress": move.progress,
    }


def _has_queue(transactions: Transactions, queue: Queue) -> bool:
    statement = select(queues.c.incarnation).where(queues.c.incarnation == queue.incarnation)
    return transactions.read(lambda connection: connection.scalar(statement)) is not None

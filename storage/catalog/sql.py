"""`SQLCatalog`: the catalog on a SQL database.

Statements run in threads of the catalog's own, so the reactor never waits for a disk or a network. SQLite
has one, so that its single writer never meets itself. Each call has a deadline; a call that was given up
before its turn is not run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from oslo_db.exception import DBError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.task import deferLater

from storage.catalog import flavors, moves, pools, queues, tables
from storage.catalog.engine import make_engine, reason, shortcomings
from storage.catalog.schema import check, found_revision, upgrade
from storage.catalog.threads import Call, CatalogThreads
from storage.catalog.transactions import Outage, Transactions
from storage.errors import CatalogUnavailable
from storage.moves import Move
from storage.pools import Flavor, Pool
from storage.records import Queue

T = TypeVar("T")

_THREADS = 4
"""Calls that a database server is asked at once by one gateway."""

_CONNECT_INTERVAL = 0.2
"""Seconds between two attempts to connect at the start."""

_UPGRADE_TIMEOUT = 600.0
"""Seconds that migrating the embedded catalog may take: it copies the queues once or twice."""

log = logging.getLogger(__name__)


class SQLCatalog:
    """Queues, pools, flavors and moves in a SQL database. Implements `storage.base.Catalog`.

    Every method raises `CatalogUnavailable` when the database fails or does not answer in time. A change
    may then have been made all the same. `DoesNotFit` says that a value does not fit.

    :param reactor: Twisted's (which types it as a module).
    :param url: of the database, see `storage.catalog.engine.make_engine`.
    :param timeout: seconds that a call may take, its waiting included.
    :param max_waiting: calls that may wait for their turn; more are refused at once.
    :raises ValueError: the URL is not that of a supported database.
    """

    def __init__(self, reactor: Any, url: str, timeout: float = 5.0, max_waiting: int = 1000) -> None:
        # One connection more than threads, for a thread that hangs on one that was given up.
        self._engine = make_engine(url, timeout, connections=_THREADS + 1)
        self._reactor = reactor
        self._outage = Outage()
        count = 1 if self._engine.name == "sqlite" else _THREADS
        self._threads = CatalogThreads(reactor, count, timeout, max_waiting)
        self._anchor: Connection | None = None

    async def start(self, patience: float = 10.0, *, upgrade: bool = False) -> None:
        """Connect, and look at the schema. To be called once.

        :param patience: seconds to go on trying to connect.
        :param upgrade: migrate to this gateway's schema, instead of refusing another one.
        :raises CatalogUnavailable: the database did not answer until then; the message says why.
        :raises storage.catalog.schema.SchemaError: its schema is not one that this gateway works on.
        """
        last_attempt = self._reactor.seconds() + patience - _CONNECT_INTERVAL
        self._threads.start()
        try:
            while True:
                try:
                    warnings = await self._threads.run(self._connect)
                    break
                except (DBError, SQLAlchemyError) as error:
                    if self._reactor.seconds() > last_attempt:
                        raise CatalogUnavailable(
                            f"The SQL catalog does not answer: {reason(error)}"
                        ) from error
                except CatalogUnavailable:
                    if self._reactor.seconds() > last_attempt:
                        raise
                await deferLater(self._reactor, _CONNECT_INTERVAL)
            if upgrade:
                await self._threads.run(self._upgrade, _UPGRADE_TIMEOUT)
            revision = await self._run(lambda transactions: transactions.read(found_revision))
            for warning in [*warnings, check(revision)]:
                if warning:
                    log.warning(warning)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let what waits be done, then disconnect. Takes no longer than two calls may."""
        try:
            await self._threads.stop(self._disconnect)
        except CatalogUnavailable:
            log.warning("the catalog's database did not answer while it was disconnected")

    async def create_queue(
        self, project: str, name: str, metadata: Mapping[str, Any], most: int = 0
    ) -> tuple[Queue, bool]:
        """The queue, and whether it is new; an existing one is left as it is.

        UnknownFlavor; NoPool; TooManyQueues if it would be new and the project has `most` (0: no limit).
        """
        return await self._run(
            lambda transactions: queues.create(transactions, project, name, metadata, most)
        )

    async def get_queue(self, project: str, name: str) -> Queue | None:
        """One queue."""
        return await self._run(lambda transactions: queues.get(transactions, project, name))

    async def update_queue(self, queue: Queue, metadata: Mapping[str, Any]) -> bool:
        """Replace the metadata if they are still those of `queue`. False: they are not, or it is gone.

        UnknownFlavor if they name another flavor than before, which does not exist.
        """
        return await self._run(lambda transactions: queues.change(transactions, queue, metadata))

    async def delete_queue(self, queue: Queue) -> None:
        """Remove this incarnation of a queue, if it is there."""
        await self._run(lambda transactions: queues.remove(transactions, queue))

    async def find_queues(self, name: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of this name, of any project. Looks at all queues."""
        table = tables.queues.c
        return await self._run(
            lambda transactions: queues.fetch(
                transactions, table.name == name, order=table.project, limit=limit
            )
        )

    async def list_queues(self, project: str, after: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of a project by name, byte by byte, whose names come after `after`."""
        table = tables.queues.c
        conditions = (table.project == project, table.name > after)
        return await self._run(
            lambda transactions: queues.fetch(transactions, *conditions, order=table.name, limit=limit)
        )

    async def count_queues(self, project: str) -> int:
        """How many queues a project has."""
        return await self._run(lambda transactions: queues.count(transactions, project))

    async def all_queues(self, after: int, limit: int) -> list[Queue]:
        """Up to `limit` queues of all projects by incarnation, above `after`."""
        key = tables.queues.c.incarnation
        return await self._run(
            lambda transactions: queues.fetch(transactions, key > after, order=key, limit=limit)
        )

    async def queue_versions(self, incarnations: Collection[int]) -> dict[int, tuple[int, str]]:
        """The serials and pools of those queues that are there, by incarnation."""
        return await self._run(lambda transactions: queues.versions(transactions, incarnations))

    async def create_pool(self, pool: Pool) -> None:
        """Add a pool. NameTaken; UnknownFlavor if it is to belong to one that does not exist."""
        await self._run(lambda transactions: pools.create(transactions, pool))

    async def get_pool(self, name: str) -> Pool | None:
        """One pool."""
        column = tables.pools.c.name
        found = await self._run(lambda transactions: pools.fetch(transactions, column == name, limit=1))
        return found[0] if found else None

    async def list_pools(self, after: str, limit: int) -> list[Pool]:
        """Up to `limit` pools by name, byte by byte, whose names come after `after`."""
        column = tables.pools.c.name
        return await self._run(lambda transactions: pools.fetch(transactions, column > after, limit=limit))

    async def update_pool(
        self,
        name: str,
        *,
        uri: str | None = None,
        weight: int | None = None,
        options: Mapping[str, Any] | None = None,
        flavors: Collection[str] | None = None,
    ) -> Pool:
        """Change what is given, and return the pool as it is then.

        UnknownPool; UnknownFlavor; PoolInUse if it is to get another URI while queues live in it.
        """
        return await self._run(
            lambda transactions: pools.change(
                transactions, name, uri=uri, weight=weight, options=options, new_flavors=flavors
            )
        )

    async def delete_pool(self, name: str) -> None:
        """Remove a pool. UnknownPool; PoolInUse by queues or flavors, or because it is the default."""
        await self._run(lambda transactions: pools.remove(transactions, name))

    async def create_flavor(self, flavor: Flavor) -> None:
        """Add a flavor. NameTaken, UnknownPool."""
        await self._run(lambda transactions: flavors.create(transactions, flavor))

    async def get_flavor(self, name: str) -> Flavor | None:
        """One flavor."""
        column = tables.flavors.c.name
        found = await self._run(lambda transactions: flavors.fetch(transactions, column == name, limit=1))
        return found[0] if found else None

    async def list_flavors(self, after: str, limit: int) -> list[Flavor]:
        """Up to `limit` flavors by name, byte by byte, whose names come after `after`."""
        column = tables.flavors.c.name
        return await self._run(lambda transactions: flavors.fetch(transactions, column > after, limit=limit))

    async def update_flavor(self, flavor: Flavor) -> None:
        """Give a flavor other pools. UnknownFlavor, UnknownPool."""
        await self._run(lambda transactions: flavors.change(transactions, flavor))

    async def delete_flavor(self, name: str) -> None:
        """Remove a flavor; queues that were placed by it stay where they are. UnknownFlavor."""
        await self._run(lambda transactions: flavors.remove(transactions, name))

    async def begin_move(self, queue: Queue, to_pool: str) -> Move:
        """The unfinished move of a queue to a pool, which begins now if there is none."""
        return await self._run(lambda transactions: moves.begin(transactions, queue, to_pool))

    async def get_move(self, queue: Queue) -> Move | None:
        """The unfinished move of a queue."""
        key = tables.queue_moves.c.incarnation
        condition = key == queue.incarnation
        found = await self._run(lambda transactions: moves.fetch(transactions, condition, limit=1))
        return found[0] if found else None

    async def record_move(self, was: Move, becomes: Move) -> bool:
        """Write down how far a move is. False: its token is no longer that of `was`, or it ended."""
        return await self._run(lambda transactions: moves.record(transactions, was, becomes))

    async def switch_pool(self, queue: Queue, pool: str) -> bool:
        """Say that a queue is in `pool`, if it is still said to be in `queue.pool`. UnknownPool."""
        return await self._run(lambda transactions: moves.switch(transactions, queue, pool))

    async def end_move(self, queue: Queue) -> None:
        """Forget the unfinished move of a queue: it stays where it is."""
        await self._run(lambda transactions: moves.end(transactions, queue))

    async def list_moves(self, after: int, limit: int) -> list[Move]:
        """Up to `limit` unfinished moves by incarnation, above `after`."""
        key = tables.queue_moves.c.incarnation
        return await self._run(lambda transactions: moves.fetch(transactions, key > after, limit=limit))

    async def ping(self) -> None:
        """Prove that the catalog answers."""
        await self.all_queues(after=-1, limit=1)

    async def _run(self, work: Callable[[Transactions], T]) -> T:
        try:
            return await self._threads.run(lambda call: work(Transactions(self._engine, self._outage, call)))
        except (DBError, SQLAlchemyError) as error:
            raise CatalogUnavailable("The SQL catalog does not work at the moment. Try again.") from error

    # What follows runs in a thread.

    def _connect(self, _call: Call) -> list[str]:
        with self._engine.connect() as connection:
            found = shortcomings(connection)
        if self._engine.name == "sqlite" and self._anchor is None:
            # The last connection that closes removes SQLite's log: keep one open.
            self._anchor = self._engine.connect()
        return found

    def _upgrade(self, _call: Call) -> None:
        upgrade(self._engine)

    def _disconnect(self, _call: Call) -> None:
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None
        self._engine.dispose()

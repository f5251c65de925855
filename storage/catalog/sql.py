"""`SQLCatalog`: the catalog on a SQL database.

Statements run in a thread of the catalog's own, one after the other, so the reactor never waits for a
disk or a network and SQLite's single writer never meets itself. Each call has a deadline; a call that
was given up before its turn is not run.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from oslo_db.exception import DBDuplicateEntry, DBError
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from protocol.identifiers import new_incarnation
from storage.base import Queue
from storage.catalog.engine import make_engine
from storage.catalog.tables import prepare, queues
from storage.errors import CatalogUnavailable

T = TypeVar("T")

_CONNECT_INTERVAL = 0.2
"""Seconds between two attempts to connect at the start."""

_CREATE_ATTEMPTS = 5
"""More are needed only if others create and delete the queue in between, or an incarnation is drawn twice."""


class SQLCatalog:
    """The queues of all projects in a SQL database. Implements `storage.base.Catalog`.

    Every method raises `CatalogUnavailable` when the database fails or does not answer in time. A change
    may then have been made all the same; creating and deleting may be repeated without harm.

    :param reactor: Twisted's (which types it as a module).
    :param url: of the database, see `storage.catalog.engine.make_engine`.
    :param timeout: seconds that a call may take, its waiting included.
    :param max_waiting: calls that may wait for their turn; more are refused at once.
    :raises ValueError: the URL is not that of a supported database.
    """

    def __init__(self, reactor: Any, url: str, timeout: float = 5.0, max_waiting: int = 1000) -> None:
        self._engine = make_engine(url, lock_timeout=timeout)
        self._reactor = reactor
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._threads = _Threads(minthreads=1, maxthreads=1, name="catalog")
        self._running = False
        self._anchor: Connection | None = None

    async def start(self, patience: float = 10.0) -> None:
        """Connect, and make the tables if there are none. To be called once.

        :param patience: seconds to go on trying.
        :raises CatalogUnavailable: the database did not answer until then.
        :raises storage.catalog.tables.WrongSchema: its tables are of another version.
        """
        last_attempt = self._reactor.seconds() + patience - _CONNECT_INTERVAL
        self._threads.start()
        self._running = True
        try:
            while True:
                try:
                    return await self._run(self._connect)
                except CatalogUnavailable:
                    if self._reactor.seconds() > last_attempt:
                        raise
                await deferLater(self._reactor, _CONNECT_INTERVAL)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let what waits be done, then disconnect. Takes no longer than one call may."""
        if not self._running:
            return
        self._running = False
        try:
            await self._in_thread(self._disconnect)
        except CatalogUnavailable:
            # The thread hangs on the database. It ends with its call or with the process: do not wait.
            self._threads.threads.clear()
        self._threads.stop()

    async def create_queue(self, project: str, name: str, metadata: Mapping[str, Any]) -> tuple[Queue, bool]:
        """The queue, and whether it is new; an existing one is left as it is."""
        return await self._run(lambda: self._create(project, name, metadata))

    async def get_queue(self, project: str, name: str) -> Queue | None:
        """One queue."""
        return await self._run(lambda: self._get(project, name))

    async def update_queue(self, queue: Queue, metadata: Mapping[str, Any]) -> bool:
        """Replace the metadata if they are still those of `queue`. False: they are not, or it is gone."""
        statement = (
            update(queues)
            .where(queues.c.incarnation == queue.incarnation, queues.c.serial == queue.serial)
            .values(metadata=_dump(metadata), serial=queue.serial + 1)
        )

        def work() -> bool:
            with self._engine.begin() as connection:
                return connection.execute(statement).rowcount == 1

        return await self._run(work)

    async def delete_queue(self, queue: Queue) -> None:
        """Remove this incarnation of a queue, if it is there."""
        statement = delete(queues).where(queues.c.incarnation == queue.incarnation)

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(statement)

        await self._run(work)

    async def list_queues(self, project: str, after: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of a project by name, byte by byte, whose names come after `after`."""
        statement = _select(queues.c.project == project, queues.c.name > after)
        statement = statement.order_by(queues.c.name).limit(limit)
        return await self._run(lambda: self._fetch(statement))

    async def all_queues(self, after: int, limit: int) -> list[Queue]:
        """Up to `limit` queues of all projects by incarnation, above `after`."""
        statement = _select(queues.c.incarnation > after).order_by(queues.c.incarnation).limit(limit)
        return await self._run(lambda: self._fetch(statement))

    async def ping(self) -> None:
        """Prove that the catalog answers."""
        await self.all_queues(after=-1, limit=1)

    # What follows down to _disconnect runs in the thread.

    def _create(self, project: str, name: str, metadata: Mapping[str, Any]) -> tuple[Queue, bool]:
        text = _dump(metadata)
        for _ in range(_CREATE_ATTEMPTS):
            existing = self._get(project, name)
            if existing is not None:
                return existing, False
            queue = Queue(project, name, new_incarnation(), json.loads(text))
            statement = insert(queues).values(
                incarnation=queue.incarnation,
                project=project,
                name=name,
                metadata=text,
                serial=queue.serial,
                created=time.time_ns() // 1000,
            )
            try:
                with self._engine.begin() as connection:
                    connection.execute(statement)
            except DBDuplicateEntry:
                continue
            return queue, True
        raise CatalogUnavailable(f"Queue {name} is being created and deleted by others. Try again.")

    def _get(self, project: str, name: str) -> Queue | None:
        found = self._fetch(_select(queues.c.project == project, queues.c.name == name))
        return found[0] if found else None

    def _fetch(self, statement: Select[Any]) -> list[Queue]:
        with self._engine.connect() as connection:
            return [_queue(row) for row in connection.execute(statement)]

    def _connect(self) -> None:
        if self._anchor is None:
            self._anchor = self._engine.connect()
        with self._engine.begin() as connection:
            prepare(connection)

    def _disconnect(self) -> None:
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    # What follows runs in the reactor's thread again.

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._running:
            raise CatalogUnavailable("The SQL catalog is not running.")
        if self._threads.q.qsize() >= self._max_waiting:
            raise CatalogUnavailable("Too many requests wait for the SQL catalog. Try again.")
        return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        given_up = threading.Event()
        deferred: Deferred[T] = deferToThreadPool(self._reactor, self._threads, _unless, given_up, work)
        deferred.addTimeout(self._timeout, self._reactor)
        try:
            return await deferred
        except DeadlinePassed as error:
            raise CatalogUnavailable("The SQL catalog did not answer in time. Try again.") from error
        except (DBError, SQLAlchemyError) as error:
            raise CatalogUnavailable("The SQL catalog does not work at the moment. Try again.") from error
        finally:
            given_up.set()


class _Thread(threading.Thread):
    """A thread that does not keep the process alive, as it may hang on a dead disk."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Threads(ThreadPool):
    threadFactory = _Thread


class _GivenUp(Exception):
    """Nobody waits for the call any more."""


def _unless(given_up: threading.Event, work: Callable[[], T]) -> T:
    if given_up.is_set():
        raise _GivenUp
    return work()


def _select(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(queues).where(*conditions)


def _queue(row: Row[Any]) -> Queue:
    return Queue(row.project, row.name, row.incarnation, json.loads(row.metadata), row.serial)


def _dump(metadata: Mapping[str, Any]) -> str:
    """JSON in ASCII (see `tables`)."""
    return json.dumps(dict(metadata), separators=(",", ":"), allow_nan=False)

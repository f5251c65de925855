"""`zaqar-gateway queue move`: moves a queue to another pool while clients use it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.embedded.valkey import EmbeddedValkey
from gateway.move_progress import MoveProgress
from gateway.settings import Settings
from protocol.errors import RequestError
from storage.catalog.engine import sqlite_url
from storage.catalog.schema import SchemaError
from storage.catalog.sql import SQLCatalog
from storage.errors import MoveUnfinished, NoQueue, QueueMoved, StaleQueue
from storage.mover import MoveFailed, MoveInterrupted, Mover, abandon
from storage.moves import Move
from storage.pools import DEFAULT_POOL
from storage.records import Queue
from storage.redis.health import LayoutError
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore

STORE_PATIENCE = 5.0
"""Seconds to wait for a store."""


class QueueCommandError(Exception):
    """The command was not done. The message says why, in one line."""


def move(settings: Settings, name: str, to_pool: str, project: str | None) -> int:
    """Move a queue, or give its move up, and say on stdout what came of it; how far it is, on stderr.

    :param to_pool: where it shall be. Where it is: an unfinished move of it is given up.
    :param project: None if only one has a queue of this name.
    :return: the exit code: 0, or 128 and the number of the signal that stopped it.
    :raises QueueCommandError: it was not moved.
    """
    # The reactor is installed on import: only now is it known that one is wanted.
    from twisted.internet import reactor  # noqa: PLC0415

    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # as in gateway/process.py
    return _Command(reactor, settings).run(lambda command: command.move(name, to_pool, project))


class _Command:
    """One run of the reactor."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._stops: list[Callable[[], Any]] = []
        self._mover: Mover | None = None
        self._signal = 0
        self._failure: Failure | None = None

    def run(self, work: Callable[[_Command], Any]) -> int:
        """Run until `work` is done; the exit code."""
        self._reactor.callWhenRunning(self._start, work)
        self._reactor.run()
        if self._failure is None:
            return 0
        error = self._failure.value
        if isinstance(error, MoveInterrupted):
            sys.stderr.write(f"{error}\n")
            return 128 + self._signal
        if isinstance(
            error, RequestError | MoveFailed | MoveUnfinished | LayoutError | SchemaError | ValueError
        ):
            raise QueueCommandError(" ".join(str(error).split())) from error
        self._failure.raiseException()
        raise AssertionError  # not reached

    def _start(self, work: Callable[[_Command], Any]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        Deferred.fromCoroutine(self._work(work)).addErrback(self._failed).addBoth(
            lambda _: self._reactor.stop()
        )

    def _failed(self, failure: Failure) -> None:
        self._failure = failure

    def _end(self, number: int, *_: object) -> None:
        self._signal = number
        if self._mover is not None:  # it ends where the queue can be left
            self._mover.stop()

    async def _work(self, work: Callable[[_Command], Any]) -> None:
        try:
            await work(self)
        finally:
            for stop in reversed(self._stops):
                await stop()

    async def move(self, name: str, to_pool: str, project: str | None) -> None:
        """What the command does."""
        catalog = await self._open_catalog()
        queue = await _find(catalog, name, project)
        if queue.pool == to_pool:
            unfinished = await catalog.get_move(queue)
            if unfinished is None:
                sys.stdout.write(f"queue {name} is in pool {to_pool} already\n")
            else:
                await self._give_up(catalog, queue, unfinished)
            return
        source = await self._open_store(catalog, queue.pool)
        target = await self._open_store(catalog, to_pool)
        await self._look_at(target, to_pool)
        progress = MoveProgress(sys.stderr, f"{name}: {queue.pool} -> {to_pool}", await _count(source, queue))
        self._mover = Mover(self._reactor, catalog, RedisMoves(source), RedisMoves(target), progress.tell)
        try:
            if self._signal:
                raise MoveInterrupted("The move has not begun.")
            await self._mover.run(queue, to_pool)
        except NoQueue:
            raise QueueCommandError(f"queue {name} was deleted") from None
        except RequestError as error:
            raise QueueCommandError(f"{error} The same command continues the move.") from error
        finally:
            progress.end()
        sys.stdout.write(f"queue {name} is in pool {to_pool} now\n")

    async def _give_up(self, catalog: SQLCatalog, queue: Queue, unfinished: Move) -> None:
        source = await self._open_store(catalog, queue.pool)
        target = None
        try:
            target = RedisMoves(await self._open_store(catalog, unfinished.to_pool))
        except QueueCommandError as error:
            sys.stderr.write(f"{error}; what was copied there goes by itself after a day\n")
        try:
            await abandon(catalog, RedisMoves(source), target, queue, unfinished)
        except QueueMoved as moved:
            await catalog.switch_pool(queue, moved.pool)
            raise QueueCommandError(
                f"queue {queue.name} has moved to pool {moved.pool} already; the same command moves it back"
            ) from None
        sys.stdout.write(
            f"queue {queue.name} stays in pool {queue.pool}; its move to {unfinished.to_pool} was given up\n"
        )

    async def _open_catalog(self) -> SQLCatalog:
        url = self._settings.catalog_url
        if url is None:
            # A gateway that runs on the file holds its lock; it finds out by itself that a queue has moved.
            file = self._settings.data_dir / "catalog.sqlite"
            if not file.exists():
                raise QueueCommandError(
                    f"no gateway has run on the data folder {self._settings.data_dir}: give that of the "
                    "gateway with --data-dir, or its database with --catalog-url"
                )
            url = sqlite_url(file)
        catalog = SQLCatalog(self._reactor, url, timeout=self._settings.request_timeout)
        await catalog.start()
        self._stops.append(catalog.stop)
        return catalog

    async def _open_store(self, catalog: SQLCatalog, name: str) -> RedisStore:
        pool = await catalog.get_pool(name)
        if pool is None:
            raise QueueCommandError(f"there is no pool {name}")
        settings, replicas, remedy = self._settings, 0, ""
        url = pool.uri
        if name == DEFAULT_POOL:
            embedded = EmbeddedValkey(settings.data_dir, settings.fsync, self._reactor)
            url, replicas = settings.redis_url or embedded.url, settings.min_replicas
            if settings.redis_url is None:
                remedy = f" Is a gateway running on the data folder {settings.data_dir}? Start it first."
        try:
            store = RedisStore(self._reactor, url, settings.request_timeout, replicas)
            self._stops.append(store.stop)
            await store.start(STORE_PATIENCE if not remedy else 1)
        except (RequestError, LayoutError, ValueError) as error:
            raise QueueCommandError(f"the store of pool {name}: {error}{remedy}") from error
        return store

    async def _look_at(self, store: RedisStore, pool: str) -> None:
        """Refuse a store that throws messages away, warn of one that may lose them in a crash."""
        seen = await store.durability()
        if seen.eviction not in ("noeviction", "unknown"):
            raise QueueCommandError(
                f"the maxmemory-policy of pool {pool} is {seen.eviction}: it would throw messages away when "
                "memory is full; set it to noeviction"
            )
        if seen.persistence != "always":
            sys.stderr.write(
                f"pool {pool} does not sync each write to disk (persistence {seen.persistence}): a crash may "
                "cost its last seconds\n"
            )


async def _find(catalog: SQLCatalog, name: str, project: str | None) -> Queue:
    if project is not None:
        queue = await catalog.get_queue(project, name)
        found = [] if queue is None else [queue]
    else:
        found = await catalog.find_queues(name, 2)
    if not found:
        where = "" if project is None else f" in project {project}"
        raise QueueCommandError(f"there is no queue {name}{where}")
    if len(found) > 1:
        raise QueueCommandError(
            f"several projects have a queue {name}, {found[0].project} and {found[1].project} among them: "
            "say which with --project"
        )
    return found[0]


async def _count(store: RedisStore, queue: Queue) -> int:
    """How many messages there are, for the bar."""
    with suppress(StaleQueue):  # it may have left already, or never have been used
        stats = await store.stats(queue)
        return stats.free + stats.claimed + stats.delayed
    return 0

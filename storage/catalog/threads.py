"""The threads that statements run in, so that the reactor never waits for a disk or a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from storage.errors import CatalogUnavailable

T = TypeVar("T")

_JOIN = 0.2
"""Seconds that stopping waits for threads that have nothing more to do."""


class Call:
    """One call as its thread sees it: how much time is left, and whether somebody still waits for it."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self._given_up.set()

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._given_up.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait in the thread before another attempt. False, at once: there is no time left for one."""
        if time.monotonic() + seconds >= self._deadline:
            return False
        return not self._given_up.wait(seconds)


class CatalogThreads:
    """Runs calls in threads, in the order in which they came, each with a deadline.

    A call that was given up before its turn is not run.

    :param reactor: Twisted's (which types it as a module).
    :param count: threads; with one, no two calls run at once.
    :param timeout: seconds that a call may take, its waiting included.
    :param max_waiting: calls that may wait for their turn; more are refused at once.
    """

    def __init__(self, reactor: Any, count: int, timeout: float, max_waiting: int) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._pool = _Pool(minthreads=count, maxthreads=count, name="catalog")
        self._calls = 0
        self._none_left: Deferred[None] | None = None
        self._running = False

    @property
    def idle(self) -> bool:
        """Whether no thread works, not even for a call that was given up."""
        return not self._pool.working

    def start(self) -> None:
        """Start the threads. To be called once."""
        self._pool.start()
        self._running = True

    async def stop(self, last: Callable[[Call], None]) -> None:
        """Let what waits be done and then `last`; takes no longer than two calls may. May be called again."""
        if not self._running:
            return
        self._running = False
        if self._calls:
            self._none_left = Deferred()
            await self._none_left
        try:
            await self._run(last, self._timeout)
        finally:
            # One that hangs in the database ends with its call or with the process: do not wait for that.
            threads = list(self._pool.threads)
            self._pool.threads.clear()
            self._pool.stop()
            deadline = time.monotonic() + _JOIN
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    async def run(self, work: Callable[[Call], T], timeout: float | None = None) -> T:
        """What `work` returns or raises in a thread.

        :param timeout: seconds, instead of the usual ones.
        :raises CatalogUnavailable: it was not done in time, too many wait, or the threads do not run.
        """
        if not self._running:
            raise CatalogUnavailable("The SQL catalog is not running.")
        if self._pool.q.qsize() >= self._max_waiting:
            raise CatalogUnavailable("Too many requests wait for the SQL catalog. Try again.")
        return await self._run(work, self._timeout if timeout is None else timeout)

    async def _run(self, work: Callable[[Call], T], timeout: float) -> T:
        call = Call(timeout)
        self._calls += 1
        deferred: Deferred[T] = deferToThreadPool(self._reactor, self._pool, _unless_given_up, call, work)
        deferred.addTimeout(timeout, self._reactor)
        try:
            return await deferred
        except DeadlinePassed as error:
            raise CatalogUnavailable("The SQL catalog did not answer in time. Try again.") from error
        finally:
            call.give_up()
            self._calls -= 1
            if not self._calls and self._none_left is not None:
                self._none_left.callback(None)
                self._none_left = None


class _Thread(threading.Thread):
    """A thread that does not keep the process alive, as it may hang on a dead disk."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _Thread


class _GivenUp(Exception):
    """Nobody waits for the call any more."""


def _unless_given_up(call: Call, work: Callable[[Call], T]) -> T:
    if call.given_up:
        raise _GivenUp
    return work(call)

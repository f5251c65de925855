"""Background work on one queue: tried again when the store refuses it, timed, and stopped with its owner."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.errors import StaleQueue

RETRY = 0.5
"""Seconds until work that the store refused is tried again."""

Task = Callable[[], Coroutine[Any, Any, None]]

log = get_logger(__name__)


class Tasks:
    """The tasks of a queue, named by their roles. `on_stale` is called if the queue is not where it was."""

    def __init__(self, reactor: Any, queue_name: str, on_stale: Callable[[], None]) -> None:
        self._reactor = reactor
        self._queue_name = queue_name
        self._on_stale = on_stale
        self._timers: dict[Hashable, IDelayedCall] = {}
        self.closed = False

    def close(self) -> None:
        """Begin no more; what is under way must see `closed`."""
        self.closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def begin(self, role: Hashable, task: Task) -> None:
        """Begin a task now, and again a little later if the store does not do its part."""
        if not self.closed:
            Deferred.fromCoroutine(task()).addErrback(self._failed, role, task)

    def after(self, role: Hashable, seconds: float, task: Task) -> None:
        """Begin a task in so many seconds, or sooner if one of this role is to begin sooner."""
        if self.closed:
            return
        seconds = max(seconds, 0.001)
        timer = self._timers.get(role)
        if timer is not None:
            if timer.getTime() - self._reactor.seconds() <= seconds:
                return
            timer.cancel()

        def fire() -> None:
            del self._timers[role]
            self.begin(role, task)

        self._timers[role] = self._reactor.callLater(seconds, fire)

    def _failed(self, failure: Failure, role: Hashable, task: Task) -> None:
        if failure.check(StaleQueue):  # the queue is gone, or elsewhere
            self._on_stale()
            return
        if not failure.check(RequestError):
            log.error("push_failed", queue=self._queue_name, failure=failure.getTraceback())
        # A store that is away or full comes back; nothing was skipped, the positions still stand.
        self.after(role, RETRY, task)

"""The end of a process: its parts are stopped in order, and all together in a time that can be relied on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred

from gateway import logs

REST = 0.5
"""Seconds that stopping may take beyond `shutdown_timeout`. With its default a supervisor can count on 5."""

PART = 0.15
"""Seconds of them for each part that waits for others."""

log = logs.get_logger(__name__)


class Stopping:
    """What has to be stopped. `seconds`: how long all of it may take."""

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._stops: list[tuple[Callable[[], Any], float]] = []
        self._running: Deferred[None] | None = None

    def add(self, stop: Callable[[], Any], seconds: float = PART) -> None:
        """Have `stop` called at the end, the last first, and given up after so many seconds."""
        self._stops.append((stop, seconds))

    def run(self) -> Deferred[None]:
        """Stop everything. May be called again: it is done once."""
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
        return self._running

    async def _run(self) -> None:
        end = self._reactor.seconds() + self._seconds
        while self._stops:
            stop, seconds = self._stops.pop()
            await within(self._reactor, max(0.0, min(seconds, end - self._reactor.seconds())), stop)


async def within(reactor: Any, seconds: float, stop: Callable[[], Any]) -> None:
    """Stop one part, but wait no longer than so many seconds. A part that fails keeps no other running."""
    try:
        await maybeDeferred(stop).addTimeout(seconds, reactor)
    except (TimeoutError, CancelledError):
        log.warning("stop_took_too_long", part=stop.__qualname__, seconds=round(seconds, 1))
    # Whatever it is, the other parts must be stopped too.
    except Exception:
        log.exception("stop_failed", part=stop.__qualname__)

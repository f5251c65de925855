"""One request that waits for messages."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, TimeoutError


class Waiter:
    """Is woken when it is worth to look at the queue again, until its time is over.

    :param until: when that is, by the reactor's clock.
    :ivar over: it waits no longer, whatever comes: its client has gone, or the node stops.
    """

    __slots__ = ("_fresh", "_reactor", "_until", "_woken", "over")

    def __init__(self, reactor: Any, until: float) -> None:
        self._reactor = reactor
        self._until = until
        self._woken: Deferred[None] | None = None
        self._fresh = False
        self.over = False

    def wake(self) -> None:
        """There may be something."""
        self._fresh = True
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.callback(None)

    def end(self) -> None:
        """Wait no longer."""
        self.over = True
        self.wake()

    async def woken(self) -> bool:
        """Wait until there may be something. False: its time is over before."""
        left = self._until - self._reactor.seconds()
        if not self._fresh and left > 0:
            self._woken = Deferred()
            try:
                await self._woken.addTimeout(left, self._reactor)
            except TimeoutError:
                self._woken = None
                return False
        fresh, self._fresh = self._fresh, False
        return fresh and not self.over

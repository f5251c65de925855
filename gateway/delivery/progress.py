"""What the store is told of one subscription's deliveries: how far they are, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gateway.delivery.home import Home
from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.errors import StaleQueue

RETRY = 0.5
"""Seconds until a store that did not do its part is asked again."""

log = get_logger(__name__)


class Progress:
    """One subscription's place in the queue. `sequence` is the subscription's."""

    def __init__(self, reactor: Any, home: Home, sequence: int, position: int) -> None:
        self._reactor = reactor
        self._home = home
        self._sequence = sequence
        self.position = position
        """Up to there all has been delivered or given up; the store may not know all of it yet."""
        self.held_up = False
        """The store refused: nothing is done until it is known why."""
        self.stopping = False
        self._untold = 0
        """Messages delivered since the store was told."""
        self._telling: Deferred[None] | None = None

    def delivered(self, position: int) -> None:
        """One message more, the one at this position. The store is told, soon."""
        self.position = position
        self._untold += 1
        self.tell()

    def tell(self) -> None:
        """Tell the store what it does not know. What comes meanwhile goes with the next call."""
        if self._untold and self._telling is None:
            self._telling = Deferred.fromCoroutine(self._tell())
            self._telling.addErrback(self._broke)

    async def told(self) -> None:
        """Wait until the store knows."""
        if self._telling is not None:
            await self._telling

    def drop(self) -> None:
        """Tell nothing more."""
        self.stopping = True
        if self._telling is not None:
            self._telling.cancel()

    async def note(self, call: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """Have the store note something, as soon as it can. False: it refused, or this is to stop."""
        while not self.stopping:
            try:
                if await call():
                    return True
            except RequestError as error:
                await self._wait_for_store(error)
            else:
                self.refused()
                return False
        return False

    def refused(self) -> None:
        """The store refused something."""
        self.held_up = True
        self._home.refused(self._sequence)

    def stale(self) -> None:
        """The queue is not where it was."""
        self.held_up = True
        self._home.stale()

    async def _tell(self) -> None:
        try:
            while self._untold and not self.held_up:
                count, self._untold = self._untold, 0
                try:
                    if not await self._tell_once(count):
                        self.refused()
                except StaleQueue:
                    self._untold += count
                    self.stale()
                except RequestError as error:
                    self._untold += count
                    if self.stopping:
                        return
                    await self._wait_for_store(error)
        finally:
            self._telling = None

    async def _tell_once(self, count: int) -> bool:
        home = self._home
        return await home.store.delivered(home.queue, home.owner, self._sequence, self.position, count)

    async def _wait_for_store(self, error: RequestError) -> None:
        log.info("delivery_waits_for_store", queue=self._home.queue.name, reason=str(error))
        await deferLater(self._reactor, RETRY, lambda: None)

    def _broke(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            log.error("delivery_broke", queue=self._home.queue.name, failure=failure.getTraceback())

"""Leases of consumers that have gone: they end soon, and not only with their ttl."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater

from gateway.logs import get_logger
from gateway.push.tasks import RETRY
from gateway.push.worker import Worker
from protocol.errors import RequestError
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Queue
from storage.router import Router

log = get_logger(__name__)


class Lapses:
    """Tells the store which claims are to end, each `worker.left` seconds from when it hears of it.

    A store that does not answer is told again, until the claim's ttl is over too.
    """

    def __init__(self, reactor: Any, router: Router) -> None:
        self._reactor = reactor
        self._router = router
        self._lapsing: set[Deferred[None]] = set()
        self._pauses: set[Deferred[None]] = set()
        self._stopping = False

    def begin(self, queue: Queue, worker: Worker) -> None:
        """A consumer has gone that may hold messages."""
        lapsing: Deferred[None] = Deferred.fromCoroutine(self._lapse(queue, worker))
        if not lapsing.called:
            self._lapsing.add(lapsing)
            lapsing.addBoth(self._lapsed, lapsing)

    async def stop(self) -> None:
        """Wait for what is under way. What the store did not do by then is left to the claims' ttl."""
        self._stopping = True
        for pause in list(self._pauses):
            pause.cancel()
        await DeferredList(list(self._lapsing))

    def _lapsed(self, _: object, lapsing: Deferred[None]) -> None:
        self._lapsing.discard(lapsing)

    async def _lapse(self, queue: Queue, worker: Worker) -> None:
        async def lapse(store: MessageStore, found: Queue) -> None:
            assert worker.left is not None
            # By both tokens that the store may know it by.
            for token in {worker.before, worker.terms.token}:
                await store.lapse_claim(found, worker.terms._replace(token=token), worker.left)

        ended = self._reactor.seconds() + worker.terms.ttl
        while True:
            try:
                await self._router.run_on(queue.project, queue.name, queue.incarnation, lapse)
            except NoQueue:
                return  # the queue went first, and its claims with it
            except RequestError as error:
                if self._reactor.seconds() + RETRY < ended and await self._pause():
                    continue
                log.warning("leases_left_behind", queue=queue.name, reason=str(error))
            return

    async def _pause(self) -> bool:
        """Wait until it is time to try again. False: there will be no other try."""
        if self._stopping:
            return False
        pause = deferLater(self._reactor, RETRY, lambda: None)
        self._pauses.add(pause)
        try:
            await pause
        except CancelledError:
            return False
        finally:
            self._pauses.discard(pause)
        return True

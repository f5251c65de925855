"""Leases of consumers that have gone: they end soon, and not only with their ttl."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

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

    def begin(self, queue: Queue, worker: Worker) -> Deferred[None]:
        """A consumer has gone that may hold messages. Fires when the store knows, or cannot be told now."""
        told: Deferred[None] = Deferred()
        lapsing: Deferred[None] = Deferred.fromCoroutine(self._lapse(queue, worker, told))
        if not lapsing.called:
            self._lapsing.add(lapsing)
            lapsing.addBoth(self._lapsed, lapsing, queue)
        return told

    async def stop(self) -> None:
        """Wait for what is under way. What the store did not do by then is left to the claims' ttl."""
        self._stopping = True
        for pause in list(self._pauses):
            pause.cancel()
        await DeferredList(list(self._lapsing))

    def _lapsed(self, outcome: object, lapsing: Deferred[None], queue: Queue) -> None:
        self._lapsing.discard(lapsing)
        if isinstance(outcome, Failure) and not outcome.check(CancelledError):  # cancelled at the end
            log.error("push_failed", queue=queue.name, failure=outcome.getTraceback())

    async def _lapse(self, queue: Queue, worker: Worker, told: Deferred[None]) -> None:
        ended = self._reactor.seconds() + worker.terms.ttl
        try:
            refused = await self._tell(queue, worker)
        finally:
            told.callback(None)
        while refused is not None:
            if self._reactor.seconds() + RETRY > ended or not await self._pause():
                log.warning("leases_left_behind", queue=queue.name, reason=str(refused))
                return
            refused = await self._tell(queue, worker)

    async def _tell(self, queue: Queue, worker: Worker) -> RequestError | None:
        """Tell the store; returns why it does not know now."""

        async def lapse(store: MessageStore, found: Queue) -> None:
            assert worker.left is not None
            # By both tokens that the store may know it by.
            for token in {worker.before, worker.terms.token}:
                await store.lapse_claim(found, worker.terms._replace(token=token), worker.left)

        try:
            await self._router.run_on(queue.project, queue.name, queue.incarnation, lapse)
        except NoQueue:
            pass  # the queue went first, and its claims with it
        except RequestError as error:
            return error
        return None

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

"""Goes round all queues: frees the memory of what expired, delivers dead letters that a crash left behind.

No answer waits for this: scripts do what is due in a queue before they answer. It is for queues that nobody
uses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall

from gateway.dead_letters import deliver
from gateway.limits.usage import Usage
from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.base import Catalog
from storage.errors import StaleQueue
from storage.records import Queue
from storage.router import Router

AT_ONCE = 20
"""Queues swept at a time."""

PER_ROUND = 1000
"""Queues swept in one round; the next round goes on behind them."""

log = get_logger(__name__)


class Sweeper:
    """Sweeps up to PER_ROUND queues every `interval` seconds.

    :param usage: is told how large they are.
    :param on_deliveries: is called with each queue that has subscribers to be delivered to.
    """

    def __init__(
        self,
        reactor: Any,
        router: Router,
        catalog: Catalog,
        interval: float,
        usage: Usage | None = None,
        on_deliveries: Callable[[Queue], Awaitable[None]] | None = None,
    ) -> None:
        self._router = router
        self._catalog = catalog
        self._interval = interval
        self._usage = usage
        self._on_deliveries = on_deliveries
        self._after = -1
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._round()))
        self._loop.clock = reactor
        self._stopping = False
        self._working: Deferred[Any] | None = None

    def start(self) -> None:
        """Begin; the first round comes after one interval."""
        self._working = self._loop.start(self._interval, now=False)
        self._working.addErrback(lambda failure: log.error("sweeper_ended", failure=failure.getTraceback()))

    async def stop(self) -> None:
        """Stop after the queues that are being swept."""
        self._stopping = True
        if self._loop.running:
            self._loop.stop()
        if self._working is not None:
            await self._working

    async def _round(self) -> None:
        try:
            for _ in range(PER_ROUND // AT_ONCE):
                queues = await self._catalog.all_queues(self._after, AT_ONCE)
                await DeferredList([Deferred.fromCoroutine(self._sweep(queue)) for queue in queues])
                self._after = queues[-1].incarnation if len(queues) == AT_ONCE else -1
                if self._after < 0 and self._usage is not None:
                    self._usage.end_round()
                if self._after < 0 or self._stopping:
                    return
        except RequestError as error:
            log.warning("sweep_failed", reason=str(error))
        # Whatever it is, there must be a next round.
        except Exception:
            log.exception("sweep_broke")

    async def _sweep(self, queue: Queue) -> None:
        if self._usage is not None:
            self._usage.seen(queue)
        try:
            await self._put_in_order(queue)
        except RequestError as error:
            log.warning("sweep_failed", queue=queue.name, reason=str(error))
        # One queue's trouble must not keep the sweeper from the others.
        except Exception:
            log.exception("sweep_broke", queue=queue.name)

    async def _put_in_order(self, queue: Queue) -> None:
        try:
            store = await self._router.store_of(queue)
            swept = await store.sweep(queue)
            if self._usage is not None:
                self._usage.measured(queue, swept.bytes)
            if swept.deliveries and self._on_deliveries is not None:
                await self._on_deliveries(queue)  # should nobody know of it, by a crash or a move
            if swept.waiting:
                delivered = await deliver(self._router, store, queue)
                log.info("dead_letters_delivered", queue=queue.name, count=delivered)
        except StaleQueue:
            await self._router.complete(queue)  # a removal that a crash cut short, or one under way

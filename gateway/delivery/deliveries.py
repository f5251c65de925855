"""The one owner of all that this node delivers to subscribers that are not sockets.

A queue with such subscribers is leased to one node, which alone delivers for it. When that node dies, another
one takes the queue within seconds and goes on by what the store knows.
"""

from __future__ import annotations

import os
import random
from typing import Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall

from gateway.delivery.queue_deliveries import QueueDeliveries
from gateway.delivery.resources import Resources
from gateway.delivery.share import Share
from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.base import Catalog
from storage.deliveries import TOKEN_BYTES
from storage.events import Event
from storage.records import Queue
from storage.redis.delivery_registry import DeliveryQueue
from storage.stores import OpenStore

POLL: Final = 1.0
"""Seconds between two looks for queues that nobody delivers for."""

OPEN: Final = 15.0
"""Seconds between two looks for pools that no request has needed yet: they may have something to deliver."""

POOLS: Final = 100
"""Pools that are read at a time."""

log = get_logger(__name__)


class Deliveries:
    """Looks for queues to deliver for, in every store. `start`, `finish` and `stop` are called once each.

    :param resources: their senders and endpoints are stopped at the end.
    """

    def __init__(self, resources: Resources, catalog: Catalog) -> None:
        self._resources = resources
        self._reactor = resources.reactor
        self._stores = resources.stores
        self._catalog = catalog
        self._owner = os.urandom(TOKEN_BYTES)
        self._shares: dict[OpenStore, Share] = {}
        self._queues: dict[int, QueueDeliveries] = {}
        self._timer: IDelayedCall | None = None
        self._rounds: dict[OpenStore, Deferred[None]] = {}
        self._again: set[OpenStore] = set()
        self._opening: Deferred[None] | None = None
        self._open_at = 0.0
        self._stopping = False

    def start(self) -> None:
        """Begin at once."""
        self._round()

    async def finish(self) -> None:
        """Begin to deliver nothing more; returns when what is being sent has been answered for."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await DeferredList([each.finish() for each in self._shares.values()])
        # Now, not when the sockets are closed too: another node may go on.
        await DeferredList([Deferred.fromCoroutine(self._release(each)) for each in self._shares.values()])

    async def stop(self) -> None:
        """Break off what is not finished. The stores are still open."""
        self._resources.endpoints.stop()
        for share in self._shares.values():
            share.drop()
        await DeferredList([Deferred.fromCoroutine(self._release(each)) for each in self._shares.values()])
        senders = set(self._resources.senders.values())
        await DeferredList([Deferred.fromCoroutine(each.stop()) for each in senders])

    async def add(self, queue: Queue) -> None:
        """A subscription is about to be made that is to be delivered to. Raises what the store raises."""
        opened = await self._stores.open(queue.pool)
        if opened.deliveries is not None:
            await opened.deliveries.add(DeliveryQueue.of(queue))

    def look(self) -> None:
        """There may be a queue that nobody delivers for."""
        if self._timer is not None:
            self._timer.reset(0)

    def told(self, incarnation: int, event: Event) -> None:
        """The store announced something about a queue."""
        queue = self._queues.get(incarnation)
        if queue is not None:
            queue.told(event)

    def listening(self, incarnation: int) -> None:
        """The node listens to a queue, for the first time or again after its connection broke."""
        queue = self._queues.get(incarnation)
        if queue is not None:
            queue.listening()

    # Rounds

    def _round(self) -> None:
        self._timer = self._reactor.callLater(POLL * random.uniform(0.8, 1.2), self._round)
        opened = [each for each in self._stores.all_opened() if each.deliveries is not None]
        for store in [each for each in self._shares if each not in opened]:
            self._shares.pop(store).drop()
        for store in opened:
            if store not in self._shares:
                self._shares[store] = Share(self._resources, store, self._owner, self._queues)
            self._work(store)
        if self._opening is None and self._reactor.seconds() >= self._open_at:
            self._open_at = self._reactor.seconds() + OPEN
            self._opening = Deferred.fromCoroutine(self._open_pools())

    def _work(self, store: OpenStore) -> None:
        """A round of a store, by itself: one that does not answer must not hold up the others."""
        if store in self._rounds:
            self._again.add(store)
            return
        self._again.discard(store)
        self._rounds[store] = working = Deferred.fromCoroutine(self._attempt(self._shares[store]))

        def done(_: object) -> None:
            del self._rounds[store]
            if store in self._again and store in self._shares and not self._stopping:
                self._work(store)

        working.addBoth(done)

    async def _attempt(self, share: Share) -> None:
        try:
            await share.round()
        except RequestError as error:
            log.warning("deliveries_wait", reason=str(error))
        # Whatever it is, there must be a next round.
        except Exception:
            log.exception("deliveries_broke")

    async def _release(self, share: Share) -> None:
        try:
            await share.release()
        except RequestError as error:  # the leases end by themselves
            log.warning("deliveries_not_released", reason=str(error))

    async def _open_pools(self) -> None:
        """Open the stores of all pools. After a restart nobody else may do so for a long time."""
        try:
            after = ""
            while not self._stopping:
                pools = await self._catalog.list_pools(after, POOLS)
                for pool in pools:
                    if self._stores.opened(pool.name) is None and not self._stopping:
                        await self._open_pool(pool.name)
                if len(pools) < POOLS:
                    return
                after = pools[-1].name
        except RequestError as error:
            log.warning("deliveries_wait", reason=str(error))
        finally:
            self._opening = None

    async def _open_pool(self, name: str) -> None:
        try:
            await self._stores.open(name)
        except RequestError as error:
            log.warning("deliveries_wait", pool=name, reason=str(error))

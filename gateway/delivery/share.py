"""The queues of one store that this node delivers for: leased from the store's registry, kept, given back."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList

from gateway.delivery.queue_deliveries import QueueDeliveries
from gateway.delivery.resources import Resources
from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.errors import NoQueue, StaleQueue
from storage.records import Queue
from storage.redis.delivery_registry import DeliveryQueue, DeliveryRegistry
from storage.stores import OpenStore

LEASE: Final = 15.0
"""Seconds for which a queue is this node's. Another one goes on as long after this one's death."""

RENEW: Final = 5.0
"""Seconds after which leases begin anew."""

TAKEN_AT_ONCE: Final = 100
"""Queues that are taken by one call."""

log = get_logger(__name__)


class Share:
    """Leases queues of one store. `round` is called again and again; then `finish` or `drop`.

    :param owner: 8 bytes that no other process has.
    :param by_incarnation: the queues that are delivered for, of all shares.
    """

    def __init__(
        self,
        resources: Resources,
        opened: OpenStore,
        owner: bytes,
        by_incarnation: dict[int, QueueDeliveries],
    ) -> None:
        assert opened.deliveries is not None
        self._resources = resources
        self._opened = opened
        self._registry: DeliveryRegistry = opened.deliveries
        self._owner = owner
        self._by_incarnation = by_incarnation
        self._held: dict[DeliveryQueue, int] = {}
        """What is leased, and the generation in which it was seen last."""
        self.queues: dict[DeliveryQueue, QueueDeliveries] = {}
        """What is delivered for. The others that are leased have nothing to deliver here."""
        self._renew_at = 0.0
        self._stopping = False

    async def round(self) -> None:
        """Keep what is leased, give back what has nothing to deliver, and take what nobody delivers for.

        Raises what the store raises.
        """
        if self._now() >= self._renew_at:
            await self._keep(list(self._held))
            self._renew_at = self._now() + RENEW
            await self._remove_empty()
        while not self._stopping:
            until = self._now() + LEASE
            taken = await self._registry.take(self._owner, TAKEN_AT_ONCE, LEASE)
            self._held |= taken
            await DeferredList([Deferred.fromCoroutine(self._begin(each, until)) for each in taken])
            if len(taken) < TAKEN_AT_ONCE:
                return

    def finish(self) -> Deferred[Any]:
        """Begin nothing more. Fires when what is being sent has been answered, and noted."""
        self._stopping = True
        return DeferredList([queue.stop() for queue in self.queues.values()])

    async def release(self) -> None:
        """Let others take all. Raises what the store raises."""
        held, self._held = list(self._held), {}
        await self._registry.release(self._owner, held)

    def drop(self) -> None:
        """Break off at once: the store is closed, or the time is up."""
        self._stopping = True
        for queue in list(self.queues):
            self._end(queue)

    def _now(self) -> float:
        return float(self._resources.reactor.seconds())

    # Leases

    async def _keep(self, queues: list[DeliveryQueue]) -> None:
        until = self._now() + LEASE
        kept = await self._registry.keep(self._owner, queues, LEASE)
        for queue in queues:
            if queue not in kept:
                log.info("deliveries_lost", queue=queue.name)
                self._let_go(queue)
            elif queue in self._held:
                before, self._held[queue] = self._held[queue], kept[queue]
                if queue in self.queues:
                    self.queues[queue].lease(until)
                elif before != kept[queue]:  # added again: it has come back, or something was wrong then
                    await self._begin(queue, until)

    async def _remove_empty(self) -> None:
        """Take queues out of the registry in which nobody is delivered to."""
        empty: dict[DeliveryQueue, int] = {}
        for queue, generation in list(self._held.items()):
            deliveries = self.queues.get(queue)
            # One that is added after this is asked is of another generation.
            if deliveries is None or await _is_empty(deliveries):
                empty[queue] = generation
        if empty:
            for queue in await self._registry.remove(empty):
                self._let_go(queue)

    def _let_go(self, queue: DeliveryQueue) -> None:
        self._held.pop(queue, None)
        self._end(queue)

    # Queues

    async def _begin(self, queue: DeliveryQueue, until: float) -> None:
        """Deliver for a queue that was leased just now."""
        try:
            found = await self._resources.router.find(queue.project, queue.name)
            place = await self._resources.stores.open(found.pool)
        except NoQueue:
            return  # it is removed with those that are empty
        except RequestError as error:
            log.warning("deliveries_wait", queue=queue.name, reason=str(error))
            await self._give_back(queue)
            return
        # Whatever it is, the other queues must be delivered for.
        except Exception:
            log.exception("deliveries_broke", queue=queue.name)
            await self._give_back(queue)
            return
        if found.incarnation != queue.incarnation or self._stopping or queue not in self._held:
            return
        if place is not self._opened:
            await self._hand_over(queue, place)
            return
        self._end(queue)
        self.queues[queue] = self._by_incarnation[queue.incarnation] = QueueDeliveries(
            self._resources,
            found,
            self._opened,
            until,
            lambda: self._lost(queue),
            lambda place: self._left(queue, place),
        )

    async def _give_back(self, queue: DeliveryQueue) -> None:
        self._held.pop(queue, None)
        try:
            await self._registry.release(self._owner, [queue])
        except RequestError as error:  # the lease ends by itself
            log.info("deliveries_not_released", queue=queue.name, reason=str(error))

    def _end(self, queue: DeliveryQueue) -> None:
        deliveries = self.queues.pop(queue, None)
        if deliveries is not None:
            deliveries.drop()
            if self._by_incarnation.get(queue.incarnation) is deliveries:
                del self._by_incarnation[queue.incarnation]

    def _lost(self, queue: DeliveryQueue) -> None:
        """The store has another owner for the queue, or none after a failover: the registry knows which."""
        Deferred.fromCoroutine(self._find_out(queue))

    async def _find_out(self, queue: DeliveryQueue) -> None:
        try:
            await self._keep([queue])
        except RequestError as error:
            log.info("deliveries_wait", queue=queue.name, reason=str(error))
            self._end(queue)  # it is taken anew when the lease is over
            self._held.pop(queue, None)
            return
        if queue in self.queues:
            self.queues[queue].load()

    def _left(self, queue: DeliveryQueue, place: tuple[Queue, OpenStore] | None) -> None:
        """The queue is in another store now, or nowhere."""
        self._end(queue)
        if place is not None:
            Deferred.fromCoroutine(self._hand_over(queue, place[1]))

    async def _hand_over(self, queue: DeliveryQueue, to: OpenStore) -> None:
        """A queue has left for another store, where nobody may know that it has something to deliver."""
        if to.deliveries is None:
            return
        try:
            await to.deliveries.add(queue)
        except RequestError as error:  # the sweeper does it then
            log.warning("deliveries_wait", queue=queue.name, reason=str(error))


async def _is_empty(deliveries: QueueDeliveries) -> bool:
    try:
        return await deliveries.is_empty()
    except (RequestError, StaleQueue):
        return False

"""The deliveries of one queue, as long as this node is the one that makes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from gateway.delivery.courier import Courier
from gateway.delivery.resources import Resources
from gateway.push.followed_queue import FollowedQueue
from protocol.errors import RequestError
from storage.base import MessageStore
from storage.deliveries import TOKEN_BYTES, Delivery
from storage.errors import NoQueue
from storage.events import Announced, DeliveriesChanged, Due, Ended, Event, Moved
from storage.records import Queue
from storage.stores import OpenStore

PAGE = 100
"""Subscriptions that are read at a time."""


class QueueDeliveries:
    """One queue's subscribers that are delivered to, each with a courier.

    The node has leased the queue (gateway.delivery.share) up to `lease_until`. In the store it is the owner
    whose token was written last: another that comes later makes all that this one does there void.

    :param on_lost: is called when the store has another owner, or none.
    :param on_left: is called with the place where the queue is now; None: it is gone.
    """

    def __init__(
        self,
        resources: Resources,
        queue: Queue,
        opened: OpenStore,
        lease_until: float,
        on_lost: Callable[[], None],
        on_left: Callable[[tuple[Queue, OpenStore] | None], None],
    ) -> None:
        self._resources = resources
        self._followed = FollowedQueue(
            resources.reactor,
            queue,
            opened,
            find=lambda: resources.router.find_again(self.queue),
            on_back=self.load,
            on_gone=lambda: on_left(None),
            on_moved=lambda queue, opened: on_left((queue, opened)),
        )
        self._tasks = self._followed.tasks
        self._on_lost = on_lost
        self.owner = os.urandom(TOKEN_BYTES)
        self.target = 0
        self._lease_until = lease_until
        self._owns = False
        self._couriers: dict[int, Courier] = {}
        self._loading = self._load_again = False

    @property
    def queue(self) -> Queue:
        """The queue, with its metadata as they were when somebody last looked."""
        return self._followed.queue

    @property
    def store(self) -> MessageStore:
        """The store that the queue is in."""
        return self._followed.store

    @property
    def holds(self) -> bool:
        """Whether this node may deliver now."""
        return self._owns and self._resources.reactor.seconds() < self._lease_until

    # Life

    def lease(self, until: float) -> None:
        """The queue is this node's until then, by the reactor's clock."""
        held, self._lease_until = self.holds, until
        if self.holds and not held:
            self._wake()

    def stop(self) -> Deferred[Any]:
        """Finish what is being sent, and tell the store. Fires when that is done."""
        self._close()
        return DeferredList([courier.stop() for courier in self._couriers.values()])

    def drop(self) -> None:
        """Break off at once."""
        self._close()
        self._drop_couriers()

    def _close(self) -> None:
        if not self._tasks.closed:
            self._followed.close()

    def _drop_couriers(self) -> None:
        couriers, self._couriers = self._couriers, {}
        for courier in couriers.values():
            courier.drop()

    async def is_empty(self) -> bool:
        """Whether the queue has no subscription that is delivered to, which the store is asked for."""
        return await self.store.deliveries(self.queue, self.owner, 0, 1) == []

    async def current(self) -> Queue:
        """The queue with its metadata as they are now, as far as that can be found out."""
        try:
            found = await self._resources.router.find(self.queue.project, self.queue.name)
        except (RequestError, NoQueue):
            return self.queue
        if found.incarnation == self.queue.incarnation and found.pool == self.queue.pool:
            self._followed.queue = found
        return self.queue

    # What is announced

    def listening(self) -> None:
        """The node listens (again): what was announced before was missed."""
        self.load()

    def told(self, event: Event) -> None:
        """The store announced something."""
        match event:
            case Announced():
                self._see(event.last)
            case Due(due_in):
                self._wake_in(due_in)
            case DeliveriesChanged(None) | Ended(None):
                self.load()
            case DeliveriesChanged(sequence):
                self._load_one(sequence)
            case Ended(sequence) if sequence in self._couriers:
                self._load_one(sequence)
            case Moved():
                self.stale()

    def _see(self, position: int) -> None:
        if position > self.target:
            self.target = position
            self._wake()

    def _wake(self) -> None:
        for courier in list(self._couriers.values()):
            courier.wake()

    def _wake_in(self, seconds: float | None) -> None:
        """Look at the queue when the next delay ends: its messages are announced by whoever looks first."""
        if seconds is not None:
            self._tasks.after("due", seconds, self._look)

    async def _look(self) -> None:
        swept = await self.store.sweep(self.queue)
        self._see(swept.visible)
        self._wake_in(swept.due_in)

    # Subscriptions

    def load(self) -> None:
        """See who is subscribed now, and how far each is."""
        self._tasks.begin("load", self._load)

    async def _load(self) -> None:
        self._load_again = True
        if self._loading:
            return
        self._loading = True
        try:
            while self._load_again and not self._tasks.closed:
                self._load_again = False
                await self._load_all()
        finally:
            self._loading = False

    async def _load_all(self) -> None:
        if not self._owns:
            await self.store.own_deliveries(self.queue, self.owner)
            self._owns, self.target = True, 0  # positions that were seen may be lost
        await self._look()
        found: dict[int, Delivery] = {}
        after = 0
        while True:
            page = await self.store.deliveries(self.queue, self.owner, after, PAGE)
            if page is None:
                self._lose()
                return
            found |= {each.subscription.sequence: each for each in page}
            if len(page) < PAGE:
                break
            after = page[-1].subscription.sequence
        for sequence in [each for each in self._couriers if each not in found]:
            self._couriers.pop(sequence).drop()
        for delivery in found.values():
            self._take(delivery)

    def _load_one(self, sequence: int | None) -> None:
        assert sequence is not None
        self._tasks.begin(sequence, lambda: self._reload(sequence))

    async def _reload(self, sequence: int) -> None:
        if self._loading or not self._owns:
            self.load()
            return
        page = await self.store.deliveries(self.queue, self.owner, sequence - 1, 1)
        if page is None:
            self._lose()
        elif page and page[0].subscription.sequence == sequence:
            self._take(page[0])
        elif sequence in self._couriers:
            self._couriers.pop(sequence).drop()

    def _take(self, delivery: Delivery) -> None:
        """Deliver to a subscriber, or go on with what is known of it now."""
        if self._tasks.closed:
            return
        sequence = delivery.subscription.sequence
        sender = self._resources.sender_of(delivery.subscription)
        courier = self._couriers.get(sequence)
        if sender is None:
            if courier is not None:
                self._couriers.pop(sequence).drop()
        elif courier is not None:
            courier.update(delivery, sender)
        else:
            courier = self._couriers[sequence] = Courier(self._resources, self, delivery, sender)
            courier.start()

    # Trouble

    def refused(self, sequence: int) -> None:
        """The store did not take what was told of a subscription: it has gone, or another node delivers."""
        self._load_one(sequence)

    def _lose(self) -> None:
        self._owns = False
        self._drop_couriers()
        self._on_lost()

    def stale(self) -> None:
        """The queue is not in the store any more."""
        self._followed.look()

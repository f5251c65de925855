"""Which queues of a store have something to deliver, and who delivers for each: leases on the store's clock.

Keys (of one slot; each method is one script of lua/registry/)::

    zg:{deliveries}:queues    sorted set: queue by the time until which somebody delivers; 0: nobody does
    zg:{deliveries}:terms     hash: queue -> generation (7 bytes), and who delivers (8), if somebody does

A *generation* is drawn by each `add`, from the time. A queue is removed only by the one that was known
before its subscriptions were looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgpack

from storage.records import Queue
from storage.redis.client import StoreClient

LONGEST_LEASE = 60.0
"""Seconds. One that seems to last longer was given before the clock was set back, and is over."""

STAYS = 60.0
"""Seconds that a queue stays at least: whoever adds it, then makes a subscription, has done so by then."""


class DeliveryQueue(NamedTuple):
    """A queue, by what finds it in the catalog."""

    incarnation: int
    project: str
    name: str

    @classmethod
    def of(cls, queue: Queue) -> DeliveryQueue:
        """The queue of the catalog."""
        return cls(queue.incarnation, queue.project, queue.name)

    @property
    def member(self) -> bytes:
        """What names it in the registry."""
        packed: bytes = msgpack.packb(self)
        return packed


class DeliveryRegistry:
    """The queues of one store that have something to deliver. `owner`: the 8 bytes of a process.

    Raises what the store raises. A call that is made twice does no more the second time.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self.clock_offset = 0
        """Microseconds to add to the server's clock; only tests do."""

    async def add(self, queue: DeliveryQueue) -> None:
        """A subscription is about to be made that is to be delivered to. No harm if it is not, or was before.

        StoreFull where memory is used up.
        """
        raise NotImplementedError

    async def take(self, owner: bytes, limit: int, seconds: float) -> dict[DeliveryQueue, int]:
        """Lease up to `limit` queues that nobody delivers for. Their generations."""
        raise NotImplementedError

    async def keep(
        self, owner: bytes, queues: Collection[DeliveryQueue], seconds: float
    ) -> dict[DeliveryQueue, int]:
        """Lease queues for so many seconds from now. Those that are still the owner's; their generations."""
        raise NotImplementedError

    async def release(self, owner: bytes, queues: Collection[DeliveryQueue]) -> None:
        """Let others take queues at once, those that are still the owner's."""
        raise NotImplementedError

    async def remove(self, queues: Mapping[DeliveryQueue, int]) -> set[DeliveryQueue]:
        """These have no subscription to deliver to: with the generation known before that was looked up.

        Returns those that are removed. The others were added since, or not long ago: they stay, with the
        lease that they have.
        """
        raise NotImplementedError

"""Which queues of a store have something to deliver, and who delivers for each: leases on the store's clock.

Keys (of one slot; each method is one script of lua/registry/)::

    zg:{deliveries}:queues    sorted set: queue by the time until which somebody delivers; 0: nobody does
    zg:{deliveries}:terms     hash: queue -> generation (7 bytes), and who delivers (8), if somebody does

A *generation* is drawn by each `add`, from the time. A queue is removed only by the one that was known
before its subscriptions were looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgpack

from storage.errors import OutcomeUnknown
from storage.records import Queue
from storage.redis import scripts
from storage.redis.client import Argument, StoreClient
from storage.redis.runner import RECONNECT_PATIENCE, evaluate
from storage.redis.scripts import Script

AT_ONCE = 500
"""Queues that one script handles."""

LONGEST_LEASE = 60.0
"""Seconds. One that seems to last longer was given before the clock was set back, and is over."""

STAYS = 60.0
"""Seconds that a queue stays at least: whoever adds it, then makes a subscription, has done so by then."""


_KEYS = (b"zg:{deliveries}:queues", b"zg:{deliveries}:terms")


class DeliveryQueue(NamedTuple):
    """A queue, by what finds it in the catalog."""

    incarnation: int
    project: str
    name: str

    @classmethod
    def of(cls, queue: Queue) -> DeliveryQueue:
        """The queue of the catalog."""
        return cls(queue.incarnation, queue.project, queue.name)

    @classmethod
    def read(cls, member: bytes) -> DeliveryQueue:
        """The queue that a member of the registry names."""
        return cls(*msgpack.unpackb(member))

    @property
    def member(self) -> bytes:
        """What names it in the registry."""
        packed: bytes = msgpack.packb(self)
        return packed


class DeliveryRegistry:
    """The queues of one store that have something to deliver. `owner`: the 8 bytes of a process.

    Raises what the store raises. A call that is made twice does no more the second time, so it is sent once
    more when the connection breaks before it is answered.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self.clock_offset = 0
        """Microseconds to add to the server's clock; only tests do."""

    async def add(self, queue: DeliveryQueue) -> None:
        """A subscription is about to be made that is to be delivered to. No harm if it is not, or was before.

        StoreFull where memory is used up.
        """
        await self._run(scripts.REGISTRY_ADD, queue.member)

    async def take(self, owner: bytes, limit: int, seconds: float) -> dict[DeliveryQueue, int]:
        """Lease up to `limit` queues that nobody delivers for. Their generations."""
        lease, longest = _microseconds(seconds), _microseconds(LONGEST_LEASE)
        return _read(await self._run(scripts.REGISTRY_TAKE, owner, limit, lease, longest))

    async def keep(
        self, owner: bytes, queues: Collection[DeliveryQueue], seconds: float
    ) -> dict[DeliveryQueue, int]:
        """Lease queues for so many seconds from now. Those that are still the owner's; their generations."""
        kept: dict[DeliveryQueue, int] = {}
        for some in _batches(queues):
            members = (queue.member for queue in some)
            kept |= _read(await self._run(scripts.REGISTRY_KEEP, owner, _microseconds(seconds), *members))
        return kept

    async def release(self, owner: bytes, queues: Collection[DeliveryQueue]) -> None:
        """Let others take queues at once, those that are still the owner's."""
        for some in _batches(queues):
            await self._run(scripts.REGISTRY_RELEASE, owner, *(queue.member for queue in some))

    async def remove(self, queues: Mapping[DeliveryQueue, int]) -> set[DeliveryQueue]:
        """These have no subscription to deliver to: with the generation known before that was looked up.

        Returns those that are gone. The others were added since, or not long ago: they stay, with the lease
        that they have.
        """
        gone: set[DeliveryQueue] = set()
        for some in _batches(queues):
            named: list[Argument] = []
            for queue in some:
                named += (queue.member, queues[queue])
            reply = await self._run(scripts.REGISTRY_REMOVE, _microseconds(STAYS), *named)
            gone.update(map(DeliveryQueue.read, reply))
        return gone

    async def _run(self, script: Script, *arguments: Argument) -> Any:
        try:
            return await self._evaluate(script, *arguments)
        except OutcomeUnknown:
            await self._client.connected(RECONNECT_PATIENCE, _KEYS[0])
            return await self._evaluate(script, *arguments)

    async def _evaluate(self, script: Script, *arguments: Argument) -> Any:
        reply, _ = await evaluate(self._client, script, _KEYS, self.clock_offset, *arguments)
        return reply


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _batches(queues: Collection[DeliveryQueue]) -> Iterator[list[DeliveryQueue]]:
    named = list(queues)
    for start in range(0, len(named), AT_ONCE):
        yield named[start : start + AT_ONCE]


def _read(told: list[Any]) -> dict[DeliveryQueue, int]:
    return {DeliveryQueue.read(told[i]): told[i + 1] for i in range(0, len(told), 2)}

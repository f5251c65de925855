"""What a Redis store does for deliveries (storage.deliveries.DeliveryStore): each method is one script."""

from __future__ import annotations

from storage.deliveries import ERROR_BYTES, Delivery, Undelivered
from storage.records import Gap, Queue
from storage.redis import records, scripts
from storage.redis.client import Argument
from storage.redis.encrypted_records import Records
from storage.redis.runner import ScriptRunner
from storage.redis.scripts import Script

_SECOND = 1_000_000


class RedisDeliveries:
    """The part of a message store that knows how far subscribers are delivered to that are not sockets."""

    scripts: ScriptRunner
    _records: Records

    async def own_deliveries(self, queue: Queue, owner: bytes) -> None:
        await self.scripts.run(scripts.DELIVERIES_OWN, queue, owner, repeatable=True)

    async def deliveries(self, queue: Queue, owner: bytes, after: int, limit: int) -> list[Delivery] | None:
        reply = await self.scripts.run(scripts.DELIVERIES, queue, owner, after, limit, repeatable=True)
        if reply is None:
            return None
        now, timeline, *told = reply
        return [records.unpack_delivery(now, timeline, *told[i : i + 3]) for i in range(0, len(told), 3)]

    async def undelivered(
        self, queue: Queue, owner: bytes, sequence: int, after: int, limit: int
    ) -> Undelivered | None:
        packed = records.pack_sequence(sequence)
        reply = await self.scripts.run(
            scripts.UNDELIVERED, queue, owner, packed, after, limit, repeatable=True
        )
        if reply is None:
            return None
        now, position, gone, reason, *told = reply
        gap = Gap(after, gone, reason.decode()) if gone else None
        messages, unreadable = self._records.up_to_unreadable(queue, now, told)
        if unreadable is None:
            return Undelivered(messages, int(position), gap)
        if not messages:
            raise unreadable
        return Undelivered(messages, messages[-1].position, gap)

    async def delivered(self, queue: Queue, owner: bytes, sequence: int, position: int, count: int) -> bool:
        return await self._move(scripts.DELIVERED, queue, owner, sequence, position, count)

    async def delivery_postponed(
        self, queue: Queue, owner: bytes, sequence: int, attempts: int, seconds: float, error: str
    ) -> bool:
        later = round(seconds * _SECOND)
        return await self._move(
            scripts.DELIVERY_POSTPONED, queue, owner, sequence, attempts, later, _short(error)
        )

    async def delivery_failed(
        self,
        queue: Queue,
        owner: bytes,
        sequence: int,
        message: int,
        position: int,
        error: str,
        dead_letter: tuple[str, int | None] | None,
    ) -> bool:
        failed: list[Argument] = [records.pack_sequence(message), position, _short(error)]
        if dead_letter is None:
            return await self._move(scripts.DELIVERY_FAILED, queue, owner, sequence, *failed)
        queue_name, ttl = dead_letter
        failed += (queue_name, -1 if ttl is None else ttl)
        return await self._move(scripts.DELIVERY_DEAD_LETTERED, queue, owner, sequence, *failed)

    async def _move(
        self, script: Script, queue: Queue, owner: bytes, sequence: int, *arguments: Argument
    ) -> bool:
        packed = records.pack_sequence(sequence)
        return bool(await self.scripts.run(script, queue, owner, packed, *arguments, repeatable=True))


def _short(error: str) -> bytes:
    """ERROR_BYTES of it at the most, and no half of a character."""
    cut = error.encode(errors="replace")[:ERROR_BYTES]
    return cut.decode(errors="ignore").encode()

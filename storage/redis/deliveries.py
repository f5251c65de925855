"""What a Redis store does for deliveries (storage.deliveries.DeliveryStore): each method is one script."""

from __future__ import annotations

from storage.deliveries import Delivery, Undelivered
from storage.records import Queue


class RedisDeliveries:
    """What a store keeps for subscribers that are not sockets."""

    async def own_deliveries(self, queue: Queue, owner: bytes) -> None:
        raise NotImplementedError

    async def deliveries(self, queue: Queue, owner: bytes, after: int, limit: int) -> list[Delivery] | None:
        raise NotImplementedError

    async def undelivered(
        self, queue: Queue, owner: bytes, sequence: int, after: int, limit: int
    ) -> Undelivered | None:
        raise NotImplementedError

    async def delivered(self, queue: Queue, owner: bytes, sequence: int, position: int, count: int) -> bool:
        raise NotImplementedError

    async def delivery_postponed(
        self, queue: Queue, owner: bytes, sequence: int, attempts: int, seconds: float, error: str
    ) -> bool:
        raise NotImplementedError

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
        raise NotImplementedError

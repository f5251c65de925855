"""Subscriptions on a Redis store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from storage.errors import StoreBusy
from storage.records import Found, Gap, Queue, Start, Subscribed, Subscription
from storage.redis import records, scripts
from storage.redis.connection import Reply
from storage.redis.runner import ScriptRunner

UPDATE_TRIES = 5
"""How often an update of a subscription is tried while others change it too."""


class RedisSubscriptions:
    """The part of a message store that knows who wants a queue's messages."""

    scripts: ScriptRunner

    async def subscribe(
        self,
        queue: Queue,
        subscriber: str,
        ttl: int,
        options: Mapping[str, Any],
        *,
        confirmed: bool,
        start: Start | None = None,
        deliver: bool = False,
    ) -> Subscribed | None:
        mark = os.urandom(8)
        record = records.pack_subscription(subscriber, ttl, options, confirmed=confirmed, mark=mark)
        resumed = ("", "") if start is None else (start.number, int(start.is_sequence))
        reply = await self.scripts.run(
            scripts.SUBSCRIBE, queue, subscriber, ttl, record, *resumed, int(deliver), repeatable=True
        )
        if reply is None:
            return None
        sequence, timeline, position, *lost = reply
        return Subscribed(sequence, position, _gap(position, *lost) if lost else None, timeline)

    async def find_gap(self, queue: Queue, position: int, timeline: bytes = b"") -> Found:
        here, *lost = await self.scripts.run(scripts.RESUME, queue, position, timeline, repeatable=True)
        return Found(_gap(*lost) if lost else None, here)

    async def list_subscriptions(self, queue: Queue, after: int, limit: int) -> list[Subscription]:
        now, *told = await self.scripts.run(scripts.SUBSCRIPTION_LIST, queue, after, limit, repeatable=True)
        return [
            records.unpack_subscription(now, int.from_bytes(told[i], "big"), told[i + 1])
            for i in range(0, len(told), 2)
        ]

    async def get_subscription(self, queue: Queue, sequence: int) -> Subscription | None:
        reply = await self._read_subscription(queue, sequence)
        if reply is None:
            return None
        now, record, delivery = reply
        return records.unpack_subscription(now, sequence, record, delivery)

    async def find_subscription(self, queue: Queue, subscriber: str) -> Subscription | None:
        reply = await self.scripts.run(scripts.SUBSCRIPTION_FIND, queue, subscriber, repeatable=True)
        if reply is None:
            return None
        now, sequence, record = reply
        return records.unpack_subscription(now, int.from_bytes(sequence, "big"), record)

    async def _read_subscription(self, queue: Queue, sequence: int) -> Reply:
        packed = records.pack_sequence(sequence)
        return await self.scripts.run(scripts.SUBSCRIPTION_GET, queue, packed, repeatable=True)

    async def update_subscription(
        self,
        queue: Queue,
        sequence: int,
        *,
        subscriber: str | None = None,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
        confirmed: bool | None = None,
        deliver: bool = False,
        keep_place: bool = False,
    ) -> bool | None:
        for _ in range(UPDATE_TRIES):
            reply = await self._read_subscription(queue, sequence)
            if reply is None:
                return None
            now, was, _ = reply
            old_subscriber, old_ttl, old_options, was_confirmed, since = records.read_subscription(was)
            becomes = records.pack_subscription(
                old_subscriber if subscriber is None else subscriber,
                old_ttl if ttl is None else ttl,
                old_options if options is None else options,
                confirmed=was_confirmed if confirmed is None else confirmed,
                since=since if ttl is None else now,
            )
            packed, lives = records.pack_sequence(sequence), "" if ttl is None else ttl
            from_now = bool(confirmed) and not was_confirmed and not keep_place
            done = await self.scripts.run(
                scripts.SUBSCRIPTION_UPDATE,
                queue,
                packed,
                was,
                becomes,
                lives,
                int(deliver and subscriber is not None),
                int(from_now),
                repeatable=False,
            )
            if done >= 0:  # else somebody changed it in between
                return bool(done)
        raise StoreBusy("The subscription is being changed by others.")

    async def unsubscribe(self, queue: Queue, sequence: int) -> None:
        packed = records.pack_sequence(sequence)
        await self.scripts.run(scripts.UNSUBSCRIBE, queue, packed, "", repeatable=True)

    async def unsubscribe_subscriber(self, queue: Queue, subscriber: str) -> None:
        await self.scripts.run(scripts.UNSUBSCRIBE, queue, b"", subscriber, repeatable=True)


def _gap(start: int, end: int, reason: bytes) -> Gap:
    return Gap(start, end, reason.decode())

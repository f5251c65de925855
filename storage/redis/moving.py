"""What a Redis store does for a move (storage.moves.MovingStore), each method by a script of lua/moving/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storage.errors import QueueMoved, StoreFailed
from storage.moves import Begun, Copied, Numbers
from storage.records import Queue
from storage.redis import scripts
from storage.redis.client import Argument
from storage.redis.scripts import Script
from storage.redis.store import RedisStore

LEASE = 60.0
"""Seconds that changes are noted after the mover's last call."""

ITEMS = 256
"""Items of a page, at the most: as many as one script handles of what is due."""

CHANGES = 1000
"""Changes that are taken at once, at the most: they must be copied faster than others come."""

BYTES = 1_048_576
"""Bytes of them, about: one may be as large as a frame."""

_MICROSECONDS = 1_000_000


class RedisMoves:
    """The source or the target of moves on one store, which has been started."""

    parts = ("free", "claimed", "delayed", "claims", "subscriptions", "origins", "lost", "firsts")

    def __init__(self, store: RedisStore, lease: float = LEASE) -> None:
        self.identity = store.identity
        self._store = store
        self._scripts = store.scripts
        self._lease = int(lease * _MICROSECONDS)

    # The source

    async def begin(self, queue: Queue, token: bytes, earlier: bytes) -> Begun:
        await self._store.create(queue)  # the catalog may have it alone
        reply = await self._run(scripts.MOVE_BEGIN, queue, token, self._lease, earlier)
        if len(reply) == 1:
            raise QueueMoved(reply[0].decode())
        return Begun(bool(reply[0]), reply[1])

    async def copy(self, queue: Queue, token: bytes, part: str, cursor: str, newest: int) -> Copied:
        score, _, member = cursor.partition(":")
        place = (score or "-inf", bytes.fromhex(member), ITEMS, BYTES, newest)
        more, noted, score, member, *items = await self._run(
            scripts.MOVE_COPY, queue, token, self._lease, part, *place
        )
        return Copied(items, bool(more), f"{score.decode()}:{member.hex()}", noted)

    async def take(self, queue: Queue, token: bytes) -> tuple[list[bytes], int]:
        left, *items = await self._run(scripts.MOVE_TAKE, queue, token, self._lease, CHANGES, BYTES)
        return items, left

    async def acknowledge(self, queue: Queue, token: bytes) -> None:
        await self._run(scripts.MOVE_ACKNOWLEDGE, queue, token, self._lease)

    async def fence(self, queue: Queue, token: bytes, seconds: float) -> Numbers:
        wait = int(seconds * _MICROSECONDS)
        return Numbers(*await self._run(scripts.MOVE_FENCE, queue, token, self._lease, wait))

    async def outbox(self, queue: Queue, token: bytes, start: int) -> list[bytes]:
        items: list[bytes] = await self._run(
            scripts.MOVE_OUTBOX, queue, token, self._lease, start, ITEMS, BYTES
        )
        return items

    async def depart(self, queue: Queue, token: bytes, pool: str) -> bool:
        return bool(await self._run(scripts.MOVE_DEPART, queue, token, self._lease, pool))

    async def forget(self, queue: Queue) -> None:
        await self._run(scripts.MOVE_FORGET, queue, b"")

    async def give_up(self, queue: Queue, token: bytes) -> None:
        await self._run(scripts.MOVE_GIVE_UP, queue, token)

    # The target

    async def arrive(self, queue: Queue, token: bytes, earlier: bytes, *, keep: bool) -> bool:
        reply = await self._run(scripts.MOVE_ARRIVE, queue, token, earlier, int(keep))
        if reply == b"OCCUPIED":
            raise StoreFailed(f"Queue {queue.name} is in the store already that it is to be moved to.")
        return bool(reply == b"KEPT")

    async def put(self, queue: Queue, token: bytes, items: Sequence[bytes]) -> None:
        await self._run(scripts.MOVE_IMPORT, queue, token, *items)

    async def settle_in(
        self, queue: Queue, token: bytes, numbers: Numbers, wait: float, letters: int
    ) -> None:
        await self._run(scripts.MOVE_SETTLE_IN, queue, token, *numbers, int(wait * _MICROSECONDS), letters)

    async def open(self, queue: Queue, token: bytes) -> None:
        await self._run(scripts.MOVE_OPEN, queue, token)

    async def clear(self, queue: Queue, token: bytes) -> None:
        await self._run(scripts.MOVE_CLEAR, queue, token)

    async def _run(self, script: Script, queue: Queue, *arguments: Argument) -> Any:
        # All of them may be done twice: what was done is found done, or is done anew.
        return await self._scripts.run(script, queue, *arguments, repeatable=True)

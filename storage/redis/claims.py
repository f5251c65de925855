"""Claims on a Redis store: leases of messages, to whoever asks and to consumers that get them pushed."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence

from storage.records import Adopted, Claim, Claimed, Consumer, DeadLetter, Leased, Queue
from storage.redis import records, scripts
from storage.redis.encrypted_records import Records
from storage.redis.runner import ScriptRunner

TAKE_TRIES = 4
"""How often a claim that finds nothing but dead letters looks behind them, a few hundred each time."""

_NEVER = 9007199254740991
_LEASE = struct.Struct(">7sII")
_SECOND = 1_000_000


class RedisClaims:
    """The part of a message store that leases messages, or hands them out for good."""

    scripts: ScriptRunner
    _records: Records

    async def pop_messages(self, queue: Queue, limit: int, dead_letter: DeadLetter | None) -> Claimed:
        # The claim is shown on what is popped, and ends with it.
        return await self._take(queue, uuid.uuid4().bytes, 1, 0, limit, dead_letter, pop=True)

    async def create_claim(
        self, queue: Queue, claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None
    ) -> Claimed:
        return await self._take(queue, claim, ttl, grace, limit, dead_letter, pop=False)

    async def _take(
        self,
        queue: Queue,
        claim: bytes,
        ttl: int,
        grace: int,
        limit: int,
        dead_letter: DeadLetter | None,
        *,
        pop: bool,
    ) -> Claimed:
        arguments: list[bytes | str | int] = [claim, ttl, grace, limit, "pop" if pop else "claim"]
        arguments += (self._records.keyring.ids, *_dead_letter_arguments(dead_letter))
        script, dead_lettered, unreadable = scripts.POP if pop else scripts.CLAIM, 0, None
        for _ in range(TAKE_TRIES):
            # A claim that exists is answered with what it holds, so it can be asked for twice; a pop cannot.
            now, dead, aside, *told = await self.scripts.run(script, queue, *arguments, repeatable=not pop)
            dead_lettered += dead
            if aside:
                unreadable = self._records.set_aside(queue)
            if told or not (dead or aside):
                break
        if unreadable is not None and not told:
            raise unreadable
        return Claimed(self._records.readable(queue, now, told), dead_lettered)

    async def get_claim(self, queue: Queue, claim: bytes) -> Claim | None:
        reply = await self.scripts.run(scripts.CLAIM_GET, queue, claim, repeatable=True)
        if reply is None:
            return None
        now, lease, *told = reply
        since, ttl, _ = _LEASE.unpack_from(lease)
        # The server's clock may have stepped back since.
        age = max(0, now - int.from_bytes(since, "big")) // _SECOND
        return Claim(age, ttl, self._records.readable(queue, now, told))

    async def update_claim(self, queue: Queue, claim: bytes, ttl: int, grace: int) -> bool:
        return bool(await self.scripts.run(scripts.CLAIM_UPDATE, queue, claim, ttl, grace, repeatable=True))

    async def release_claim(self, queue: Queue, claim: bytes, token: bytes | None = None) -> None:
        named = () if token is None else (token,)
        await self.scripts.run(scripts.CLAIM_RELEASE, queue, claim, *named, repeatable=True)

    async def release_messages(self, queue: Queue, sequences: Sequence[int], claim: bytes) -> None:
        packed = map(records.pack_sequence, sequences)
        await self.scripts.run(scripts.RELEASE, queue, claim, *packed, repeatable=True)

    async def lease(
        self, queue: Queue, consumer: Consumer, limit: int, sharing: int, dead_letter: DeadLetter | None
    ) -> Leased | None:
        ids = self._records.keyring.ids
        arguments = (*consumer, limit, sharing, ids, *_dead_letter_arguments(dead_letter))
        # Not repeatable: what the first try has leased would be told to nobody.
        reply = await self.scripts.run(scripts.LEASE, queue, *arguments, repeatable=False)
        if reply is None:
            return None
        now, dead, aside, held, free, due, *told = reply
        if aside:
            self._records.set_aside(queue)
        due_in = None if due >= _NEVER else max(0, due - now) / _SECOND
        return Leased(self._records.readable(queue, now, told), dead, held, free, due_in)

    async def adopt_claim(self, queue: Queue, consumer: Consumer, before: bytes) -> Adopted | None:
        claim, token, ttl, grace, _ = consumer
        reply = await self.scripts.run(
            scripts.CLAIM_ADOPT, queue, claim, token, before, ttl, grace, repeatable=True
        )
        return None if reply is None else Adopted(reply[0], records.unpack_held(reply[1:]))

    async def lapse_claim(self, queue: Queue, consumer: Consumer, seconds: float) -> None:
        soon = round(seconds * _SECOND)
        await self.scripts.run(
            scripts.CLAIM_LAPSE, queue, consumer.claim, consumer.token, soon, repeatable=True
        )


def _dead_letter_arguments(dead_letter: DeadLetter | None) -> tuple[str | int, ...]:
    if dead_letter is None:
        return ()
    there = -1 if dead_letter.ttl is None else dead_letter.ttl
    return dead_letter.max_claim_count, dead_letter.queue_name, there

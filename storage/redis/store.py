"""The message store of one pool (storage.base.MessageStore): each method is one script of lua/."""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.task import deferLater

from protocol.identifiers import format_id, parse_uuid
from storage.errors import QueueMoved, StoreBusy, StoreLoading
from storage.records import (
    Adopted,
    Claim,
    Claimed,
    Consumer,
    DeadLetter,
    Deleted,
    Durability,
    Found,
    Gap,
    Leased,
    Message,
    NewMessage,
    Origin,
    Page,
    Queue,
    Room,
    Start,
    Stats,
    Subscribed,
    Subscription,
    Swept,
    Waiting,
)
from storage.redis import records, scripts
from storage.redis.connection import Reply
from storage.redis.health import check_layout, look_at_durability, look_at_identity
from storage.redis.replicas import Replicas
from storage.redis.runner import ScriptRunner
from storage.redis.topology import store_client

LOOK_AT = 1000
"""Messages that one call of a filtered list looks at, at the most."""

TAKE_TRIES = 4
"""How often a claim that finds nothing but dead letters looks behind them, a few hundred each time."""

UPDATE_TRIES = 5
"""How often an update of a subscription is tried while others change it too."""

_NEVER = 9007199254740991
_LEASE = struct.Struct(">7sII")
_SECOND = 1_000_000


class RedisStore:
    """Messages, claims and subscriptions on one Redis or Valkey server, a Sentinel service or a Cluster.

    An answer takes `timeout` seconds at the most; writes are answered when `min_replicas` replicas have them.
    `room`: how much each queue may hold.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        timeout: float,
        min_replicas: int = 0,
        room: Room = Room(),  # noqa: B008  # it is immutable
    ) -> None:
        self.room = room
        self._reactor = reactor
        self._timeout = timeout
        self.client = store_client(reactor, url, timeout)
        self._writer, replicas = self.client, None
        if min_replicas:
            # A connection of their own for writes: one that waits for replicas holds up no reader.
            self._writer = store_client(reactor, url, timeout)
            replicas = Replicas(min_replicas, timeout / 4)
        self.identity = b""
        """The same for whoever reaches the same data, by whatever URL. Empty: the store could not keep it."""
        self.scripts = ScriptRunner(reactor, self.client, timeout, self._writer, replicas)

    async def start(self, patience: float) -> None:
        """Connect, and see that the data there is of a layout that this version understands.

        Raises StoreUnavailable after `patience` seconds, LayoutError for data of another layout.
        """
        deadline = self._reactor.seconds() + patience
        for client in {self.client, self._writer}:
            client.start()
            await client.connected(patience)
        while True:
            try:
                await check_layout(self.client)
                self.identity = await look_at_identity(self.client)
                return
            except StoreLoading:
                if self._reactor.seconds() > deadline:
                    raise
            await deferLater(self._reactor, 0.2, lambda: None)

    async def stop(self) -> None:
        """Close the connections."""
        for client in {self.client, self._writer}:
            await client.stop()

    async def durability(self) -> Durability:
        return await look_at_durability(self.client)

    # Queues

    async def create(self, queue: Queue) -> None:
        reply = await self.scripts.run(scripts.CREATE, queue, repeatable=True)
        if reply != 1:
            raise QueueMoved(reply.decode())

    async def remove(self, queue: Queue) -> bool:
        return bool(await self.scripts.run(scripts.REMOVE, queue, repeatable=False))

    async def purge(self, queue: Queue, *, messages: bool, subscriptions: bool) -> None:
        await self.scripts.run(scripts.PURGE, queue, int(messages), int(subscriptions), repeatable=True)

    async def sweep(self, queue: Queue) -> Swept:
        answer = await self.scripts.run(scripts.SWEEP, queue, repeatable=True)
        now, due, waiting, visible, timeline, size, claim_ends = answer
        due_in, claim_ends_in = _seconds_until(due, now), _seconds_until(claim_ends, now)
        return Swept(due_in, waiting, visible, timeline, size, claim_ends_in)

    async def stats(self, queue: Queue) -> Stats:
        now, free, claimed, delayed, *ends = await self.scripts.run(scripts.STATS, queue, repeatable=True)
        oldest, newest = records.unpack_messages(now, ends) or (None, None)
        return Stats(free, claimed, delayed, oldest, newest)

    # Messages

    async def post(
        self, queue: Queue, messages: Sequence[NewMessage], client: bytes, dedup_window: int = 0
    ) -> list[int]:
        if any(message.dedup_id for message in messages):
            return await self._post_once(queue, messages, client, dedup_window)
        arguments: list[bytes | int] = [*self.room]
        for message in messages:
            arguments += (message.ttl, message.delay, records.pack_message(message, client))
        first = await self.scripts.run(scripts.POST, queue, *arguments, repeatable=False)
        return list(range(first, first + len(messages)))

    async def _post_once(
        self, queue: Queue, messages: Sequence[NewMessage], client: bytes, dedup_window: int
    ) -> list[int]:
        arguments: list[bytes | int] = [*self.room, dedup_window * _SECOND]
        for message in messages:
            record = records.pack_message(message, client)
            arguments += (message.ttl, message.delay, record, message.dedup_id)
        repeatable = all(message.dedup_id for message in messages)
        sequences: list[int] = await self.scripts.run(
            scripts.POST_ONCE, queue, *arguments, repeatable=repeatable
        )
        return sequences

    async def list_messages(
        self,
        queue: Queue,
        start: Start,
        limit: int,
        *,
        not_from: bytes | None = None,
        include_claimed: bool = False,
        include_delayed: bool = False,
    ) -> Page:
        messages: list[Message] = []
        place, is_sequence, more, timeline = start.number, start.is_sequence, 1, b""
        # A page that takes too long to fill, because the client's own messages are left out, ends early.
        deadline = self._reactor.seconds() + self._timeout
        while more and len(messages) < limit and self._reactor.seconds() < deadline:
            now, more, reached, timeline, *told = await self.scripts.run(
                scripts.LIST,
                queue,
                place,
                int(is_sequence),
                limit - len(messages),
                not_from or b"",
                int(include_claimed),
                int(include_delayed),
                LOOK_AT,
                repeatable=True,
            )
            messages += records.unpack_messages(now, told)
            place, is_sequence = int(reached), False
        return Page(messages, place, timeline)

    async def get_messages(self, queue: Queue, sequences: Sequence[int]) -> list[Message | None]:
        packed = map(records.pack_sequence, sequences)
        now, *told = await self.scripts.run(scripts.GET, queue, *packed, repeatable=True)
        found = {message.sequence: message for message in records.unpack_messages(now, told)}
        return [found.get(sequence) for sequence in sequences]

    async def delete_message(self, queue: Queue, sequence: int, claim: bytes | None) -> Deleted:
        named = b"any" if claim is None else claim
        packed = records.pack_sequence(sequence)
        reply: bytes = await self.scripts.run(scripts.DELETE, queue, packed, named, repeatable=True)
        return Deleted(reply.decode())

    async def delete_messages(
        self, queue: Queue, sequences: Sequence[int], claims: Sequence[bytes] | None
    ) -> bool:
        named = -1 if claims is None else len(claims)
        packed = map(records.pack_sequence, sequences)
        reply = await self.scripts.run(
            scripts.DELETE_MANY, queue, named, *(claims or ()), *packed, repeatable=True
        )
        return bool(reply)

    async def pop_messages(self, queue: Queue, limit: int, dead_letter: DeadLetter | None) -> Claimed:
        # The claim is shown on what is popped, and ends with it.
        return await self._take(queue, uuid.uuid4().bytes, 1, 0, limit, dead_letter, pop=True)

    # Claims

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
        arguments += _dead_letter_arguments(dead_letter)
        script, dead_lettered = scripts.POP if pop else scripts.CLAIM, 0
        for _ in range(TAKE_TRIES):
            # A claim that exists is answered with what it holds, so it can be asked for twice; a pop cannot.
            now, dead, *told = await self.scripts.run(script, queue, *arguments, repeatable=not pop)
            dead_lettered += dead
            if told or not dead:
                break
        return Claimed(records.unpack_messages(now, told), dead_lettered)

    async def get_claim(self, queue: Queue, claim: bytes) -> Claim | None:
        reply = await self.scripts.run(scripts.CLAIM_GET, queue, claim, repeatable=True)
        if reply is None:
            return None
        now, lease, *told = reply
        since, ttl, _ = _LEASE.unpack_from(lease)
        # The server's clock may have stepped back since.
        age = max(0, now - int.from_bytes(since, "big")) // _SECOND
        return Claim(age, ttl, records.unpack_messages(now, told))

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
        arguments = (*consumer, limit, sharing, *_dead_letter_arguments(dead_letter))
        # Not repeatable: what the first try has leased would be told to nobody.
        reply = await self.scripts.run(scripts.LEASE, queue, *arguments, repeatable=False)
        if reply is None:
            return None
        now, dead, held, free, due, *told = reply
        due_in = _seconds_until(due, now)
        return Leased(records.unpack_messages(now, told), dead, held, free, due_in)

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

    # Subscriptions

    async def subscribe(
        self,
        queue: Queue,
        subscriber: str,
        ttl: int,
        options: Mapping[str, Any],
        *,
        confirmed: bool,
        start: Start | None = None,
    ) -> Subscribed | None:
        mark = os.urandom(8)
        record = records.pack_subscription(subscriber, ttl, options, confirmed=confirmed, mark=mark)
        resumed = ("", "") if start is None else (start.number, int(start.is_sequence))
        reply = await self.scripts.run(
            scripts.SUBSCRIBE, queue, subscriber, ttl, record, *resumed, repeatable=True
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
        return None if reply is None else records.unpack_subscription(reply[0], sequence, reply[1])

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
    ) -> bool | None:
        for _ in range(UPDATE_TRIES):
            reply = await self._read_subscription(queue, sequence)
            if reply is None:
                return None
            now, was = reply
            old_subscriber, old_ttl, old_options, was_confirmed, since = records.read_subscription(was)
            becomes = records.pack_subscription(
                old_subscriber if subscriber is None else subscriber,
                old_ttl if ttl is None else ttl,
                old_options if options is None else options,
                confirmed=was_confirmed if confirmed is None else confirmed,
                since=since if ttl is None else now,
            )
            packed, lives = records.pack_sequence(sequence), "" if ttl is None else ttl
            done = await self.scripts.run(
                scripts.SUBSCRIPTION_UPDATE, queue, packed, was, becomes, lives, repeatable=False
            )
            if done >= 0:  # else somebody changed it in between
                return bool(done)
        raise StoreBusy("The subscription is being changed by others.")

    async def unsubscribe(self, queue: Queue, sequence: int) -> None:
        packed = records.pack_sequence(sequence)
        await self.scripts.run(scripts.UNSUBSCRIBE, queue, packed, "", repeatable=True)

    async def unsubscribe_subscriber(self, queue: Queue, subscriber: str) -> None:
        await self.scripts.run(scripts.UNSUBSCRIBE, queue, b"", subscriber, repeatable=True)

    # Dead letters

    async def waiting_dead_letters(self, queue: Queue, limit: int) -> list[Waiting]:
        entries = await self.scripts.run(scripts.OUTBOX, queue, limit, repeatable=True)
        return [records.unpack_waiting(entry) for entry in entries]

    async def deliver_dead_letter(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        message_id = _id_bytes(waiting.sequence, source)
        record = records.with_origin(waiting.record, Origin(source.name, message_id), waiting.ttl)
        lives = -1 if waiting.ttl is None else waiting.ttl
        await self.scripts.run(
            scripts.DELIVER, target, message_id, lives, waiting.expires, record, repeatable=True
        )

    async def forget_dead_letter(self, source: Queue, waiting: Waiting) -> None:
        await self.scripts.run(scripts.OUTBOX_FORGET, source, waiting.entry, repeatable=True)

    async def dead_letter_arrived(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        message_id = _id_bytes(waiting.sequence, source)
        await self.scripts.run(scripts.ARRIVED, target, message_id, repeatable=True)


def _dead_letter_arguments(dead_letter: DeadLetter | None) -> tuple[str | int, ...]:
    if dead_letter is None:
        return ()
    there = -1 if dead_letter.ttl is None else dead_letter.ttl
    return dead_letter.max_claim_count, dead_letter.queue_name, there


def _seconds_until(time: int, now: int) -> float | None:
    return None if time >= _NEVER else max(0, time - now) / _SECOND


def _gap(start: int, end: int, reason: bytes) -> Gap:
    return Gap(start, end, reason.decode())


def _id_bytes(sequence: int, queue: Queue) -> bytes:
    data = parse_uuid(format_id(sequence, queue.incarnation))
    assert data is not None
    return data

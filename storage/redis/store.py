"""The message store of one pool (storage.base.MessageStore): each method is one script of lua/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import deferLater

from protocol.identifiers import format_id, parse_uuid
from schemas import limits
from storage.encryption import Keyring
from storage.errors import MessageUnreadable, QueueMoved, StoreLoading
from storage.pools import Durability
from storage.records import (
    Deleted,
    Message,
    NewMessage,
    Origin,
    Page,
    Queue,
    Room,
    Start,
    Stats,
    Swept,
    Waiting,
)
from storage.redis import records, scripts
from storage.redis.claims import RedisClaims
from storage.redis.deliveries import RedisDeliveries
from storage.redis.encrypted_records import OnUnreadable, Records, encrypt
from storage.redis.health import check_layout, look_at_durability, look_at_identity
from storage.redis.posts import Posts
from storage.redis.replicas import Replicas
from storage.redis.runner import ScriptRunner
from storage.redis.subscriptions import RedisSubscriptions
from storage.redis.topology import store_client

LOOK_AT = 1000
"""Messages that one call of a filtered list looks at, at the most."""

_NEVER = 9007199254740991
_SECOND = 1_000_000
_LONGEST_LIFE = limits.MESSAGE_TTL_MAX * _SECOND


class RedisStore(RedisClaims, RedisSubscriptions, RedisDeliveries):
    """Messages, claims and subscriptions on one Redis or Valkey server, a Sentinel service or a Cluster.

    An answer takes `timeout` seconds at the most; writes are answered when `min_replicas` replicas have them.
    `room`: how much each queue may hold. `keyring` encrypts the messages of queues that demand it, and reads
    them; `on_unreadable` is told of those that it cannot read.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        timeout: float,
        min_replicas: int = 0,
        room: Room = Room(),  # noqa: B008  # it is immutable
        keyring: Keyring | None = None,
        on_unreadable: OnUnreadable = lambda queue, message_id, error: None,
    ) -> None:
        self.room = room
        self._records = Records(keyring or Keyring(), on_unreadable)
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
        self._posts = Posts(reactor, self.scripts)

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
        now, due, waiting, visible, timeline, size, deliveries, claim_ends = await self.scripts.run(
            scripts.SWEEP, queue, repeatable=True
        )
        due_in, claim_ends_in = _seconds_until(due, now), _seconds_until(claim_ends, now)
        return Swept(due_in, waiting, visible, timeline, size, bool(deliveries), claim_ends_in)

    async def stats(self, queue: Queue) -> Stats:
        now, free, claimed, delayed, *ends = await self.scripts.run(scripts.STATS, queue, repeatable=True)
        shown = [
            None if isinstance(end, MessageUnreadable) else end
            for end in self._records.each(queue, now, ends)
        ]
        oldest, newest = shown or (None, None)
        return Stats(free, claimed, delayed, oldest, newest)

    # Messages

    async def post(
        self, queue: Queue, messages: Sequence[NewMessage], client: bytes, dedup_window: int = 0
    ) -> list[int]:
        packed: list[bytes | int] = []
        size = 0
        for message in messages:
            if message.dedup_id:
                return await self._post_once(queue, messages, client, dedup_window)
            record = self._records.pack(queue, message, client)
            packed += (message.ttl, message.delay, record)
            size += len(record)
        first = await self._posts.post(queue, self.room, packed, size)
        return list(range(first, first + len(messages)))

    async def _post_once(
        self, queue: Queue, messages: Sequence[NewMessage], client: bytes, dedup_window: int
    ) -> list[int]:
        arguments: list[bytes | int] = [*self.room, dedup_window * _SECOND]
        for message in messages:
            record = self._records.pack(queue, message, client)
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
            read, unreadable = self._records.up_to_unreadable(queue, now, told)
            messages += read
            if unreadable is not None:  # in order: nobody is to go on behind it without knowing
                if not messages:
                    raise unreadable
                return Page(messages, messages[-1].position, timeline)
            place, is_sequence = int(reached), False
        return Page(messages, place, timeline)

    async def get_messages(
        self, queue: Queue, sequences: Sequence[int], *, only_readable: bool = False
    ) -> list[Message | None]:
        packed = map(records.pack_sequence, sequences)
        now, *told = await self.scripts.run(scripts.GET, queue, *packed, repeatable=True)
        read = self._records.readable if only_readable else self._records.all
        found = {message.sequence: message for message in read(queue, now, told)}
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

    # Dead letters

    async def waiting_dead_letters(self, queue: Queue, limit: int) -> list[Waiting]:
        now, *entries = await self.scripts.run(scripts.OUTBOX, queue, limit, repeatable=True)
        found = []
        for entry in entries:
            waiting = self._records.waiting(queue, entry)
            if waiting.record:
                found.append(waiting)
            elif waiting.expires + _LONGEST_LIFE < now:  # there is no queue in which it would still live
                await self.forget_dead_letter(queue, waiting)
        return found

    async def deliver_dead_letter(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        message_id = _id_bytes(waiting.sequence, source)
        record = records.with_origin(waiting.record, Origin(source.name, message_id), waiting.ttl)
        # What was encrypted stays so, whatever queue takes it.
        if waiting.encrypted or target.settings.encrypted:
            record = encrypt(record, target.incarnation, self._records.keyring)
        lives = -1 if waiting.ttl is None else waiting.ttl
        await self.scripts.run(
            scripts.DELIVER, target, message_id, lives, waiting.expires, record, repeatable=True
        )

    async def forget_dead_letter(self, source: Queue, waiting: Waiting) -> None:
        await self.scripts.run(scripts.OUTBOX_FORGET, source, waiting.entry, repeatable=True)

    async def dead_letter_arrived(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        message_id = _id_bytes(waiting.sequence, source)
        await self.scripts.run(scripts.ARRIVED, target, message_id, repeatable=True)


def _seconds_until(time: int, now: int) -> float | None:
    return None if time >= _NEVER else max(0, time - now) / _SECOND


def _id_bytes(sequence: int, queue: Queue) -> bytes:
    data = parse_uuid(format_id(sequence, queue.incarnation))
    assert data is not None
    return data

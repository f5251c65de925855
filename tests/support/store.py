"""A message store on a real server, its calls made one after the other, and its clock stopped.

::

    with connected(server) as store:
        jobs = LiveQueue(store)
        first, second = jobs.post("one", "two", ttl=60)
        jobs.move_to(first + 60 * SECOND)
        assert jobs.bodies() == ["two"]

A queue's time is that of the server plus `clock_offset`, but never below the newest number of the queue
(lua/common.lua). With an offset far below zero it is that number: time then stands still to the microsecond,
every number drawn moves it by one, and `move_to` sets it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Self

import redis
from twisted.internet.defer import Deferred, DeferredList

from protocol.body import Body, Form
from protocol.identifiers import format_id, new_incarnation, parse_uuid
from storage.encryption import Keyring
from storage.records import (
    Claim,
    Claimed,
    DeadLetter,
    Deleted,
    Message,
    NewMessage,
    Page,
    Queue,
    Start,
    Stats,
)
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.reactor import reactor, run
from tests.support.servers import Server

SECOND = 1_000_000
"""Microseconds."""

STOPPED = -(1 << 52)
"""A clock offset (microseconds) that takes the server's clock out of the reckoning."""

STARTED_AT = 1_800_000_000 * SECOND
"""The time at which a `LiveQueue` is created."""

ALICE, BOB = b"alice".ljust(16, b"-"), b"bob".ljust(16, b"-")
"""Two clients."""

FOREVER = 1_209_600
"""Seconds: the longest a message can live."""

PATIENCE = 30.0
"""Seconds that a store waits for its server's answer."""

# A script, because time goes on in a store that is full.
_SET_TIME = "#!lua flags=allow-oom\nreturn redis.call('HSET', KEYS[1], 'last', ARGV[1])"

_counter = itertools.count(1)


@contextmanager
def connected(server: Server, timeout: float = PATIENCE, patience: float = PATIENCE) -> Iterator[RedisStore]:
    """A started store on this server, stopped at the end.

    :param timeout: seconds that each answer may take.
    :param patience: seconds that the start may.
    """
    with connected_to(server.url, timeout, patience=patience) as store:
        yield store


@contextmanager
def connected_to(
    url: str, timeout: float = PATIENCE, keyring: Keyring | None = None, patience: float = PATIENCE
) -> Iterator[RedisStore]:
    """The same by URL, with keys by which messages are encrypted."""
    store = RedisStore(reactor, url, timeout, keyring=keyring)
    try:
        run(store.start, patience)
        yield store
    finally:
        run(store.stop)


def put_on_timeline(store: RedisStore, timeline: bytes) -> None:
    """As if another server had taken over, with all that there is: 8 bytes, or none if it does not tell."""

    async def put() -> None:
        for server in {*store.client.primaries(), *store._writer.primaries()}:
            connection = await server.link.connected(PATIENCE)
            connection.timeline = timeline

    run(put)


def new_claim() -> bytes:
    """16 bytes that no other claim has."""
    return b"claim".ljust(8, b"-") + next(_counter).to_bytes(8, "big")


def text(value: Any) -> Body:
    """A body posted as JSON."""
    return Body(Form.JSON, json.dumps(value).encode())


def new_queue(name: str = "jobs") -> Queue:
    """A queue that no store has yet."""
    return Queue("project", name, new_incarnation())


def bodies(messages: Sequence[Message | None]) -> list[Any]:
    """What the messages say; None for one that is not there."""
    return [None if message is None else json.loads(message.body.data) for message in messages]


def numbers(messages: Sequence[Message]) -> list[int]:
    """The sequences of messages."""
    return [message.sequence for message in messages]


def post_together(
    store: RedisStore, *posts: tuple[Queue, Sequence[object]]
) -> list[list[int] | BaseException]:
    """Make several posts in one turn, of ALICE and BOB alternately; what each returns or raises."""

    async def post() -> list[list[int] | BaseException]:
        answers = []
        for client, (queue, values) in zip(itertools.cycle((ALICE, BOB)), posts, strict=False):
            messages = [NewMessage(text(value), 3600) for value in values]
            answers.append(Deferred.fromCoroutine(store.post(queue, messages, client)))
        outcomes: Any = await DeferredList(answers, consumeErrors=True)
        return [outcome if done else outcome.value for done, outcome in outcomes]

    return run(post)


class LiveQueue:
    """A queue that was just created on `store`. Its time stands still unless `clock_runs`."""

    def __init__(self, store: RedisStore, name: str = "jobs", *, clock_runs: bool = False) -> None:
        self.store = store
        self.queue = new_queue(name)
        store.scripts.clock_offset = 0 if clock_runs else STOPPED
        run(store.create, self.queue)
        if not clock_runs:
            self.move_to(STARTED_AT)

    def through(self, store: RedisStore) -> Self:
        """The same queue over another connection."""
        store.scripts.clock_offset = self.store.scripts.clock_offset
        other = copy(self)
        other.store = store
        return other

    # Time

    @property
    def now(self) -> int:
        """The newest number drawn; while time stands still, the queue's time in microseconds."""
        return int(self._ask("HGET", head_key(self.queue), "last"))

    def move_to(self, time: int) -> None:
        """Set the time, in microseconds. It does not go back."""
        assert time >= self.now, "time does not go back"
        self._ask("EVAL", _SET_TIME, 1, head_key(self.queue), time)

    def advance(self, seconds: float = 0, *, microseconds: int = 0) -> None:
        """Let so much time pass."""
        self.move_to(self.now + int(seconds * SECOND) + microseconds)

    def _ask(self, *command: bytes | str | int) -> Any:
        return run(self.store.client.execute, *command, key=head_key(self.queue))

    # Messages

    def post(
        self,
        *values: Any,
        ttl: int = 3600,
        delay: int = 0,
        client: bytes = ALICE,
        checksum: bytes | None = None,
    ) -> list[int]:
        messages = [NewMessage(text(value), ttl, delay, checksum) for value in values]
        return run(self.store.post, self.queue, messages, client)

    def post_once(self, dedup_id: str, value: Any, *, window: int = 600, delay: int = 0) -> int:
        """Post one message with a dedup_id; its sequence, or that of the one that had the id first."""
        message = NewMessage(text(value), 3600, delay, None, dedup_id.encode())
        (sequence,) = run(lambda: self.store.post(self.queue, [message], ALICE, window))
        return sequence

    def gap(self, position: int) -> tuple[int, int, str] | None:
        """What those miss who have got all up to a position."""
        return run(self.store.find_gap, self.queue, position).gap

    def post_many(self, count: int, *, ttl: int = 3600, delay: int = 0, client: bytes = ALICE) -> list[int]:
        """Post the numbers from 0 up to `count`, as many in one call as a post may hold."""
        values = range(count)
        slices = (values[i : i + 1000] for i in range(0, count, 1000))
        return [number for part in slices for number in self.post(*part, ttl=ttl, delay=delay, client=client)]

    def page(
        self,
        start: Start = Start(),  # noqa: B008  # it is frozen
        limit: int = 1000,
        *,
        not_from: bytes | None = None,
        claimed: bool = False,
        delayed: bool = False,
    ) -> Page:
        return run(
            lambda: self.store.list_messages(
                self.queue,
                start,
                limit,
                not_from=not_from,
                include_claimed=claimed,
                include_delayed=delayed,
            )
        )

    def bodies(self, **flags: Any) -> list[Any]:
        """The bodies of one page; parameters as of `page`."""
        return bodies(self.page(**flags).messages)

    def get(self, *sequences: int) -> list[Message | None]:
        return run(self.store.get_messages, self.queue, sequences)

    def one(self, sequence: int) -> Message:
        """A message that has to be there."""
        (message,) = self.get(sequence)
        assert message is not None
        return message

    def delete(self, sequence: int, claim: bytes | None = None) -> Deleted:
        return run(self.store.delete_message, self.queue, sequence, claim)

    def delete_many(self, *sequences: int, claims: Sequence[bytes] | None = None) -> bool:
        return run(self.store.delete_messages, self.queue, sequences, claims)

    def pop(self, limit: int = 10, dead_letter: DeadLetter | None = None) -> Claimed:
        return run(self.store.pop_messages, self.queue, limit, dead_letter)

    def stats(self) -> Stats:
        return run(self.store.stats, self.queue)

    def counts(self) -> tuple[int, int, int]:
        """How many messages are free, claimed and delayed."""
        stats = self.stats()
        return stats.free, stats.claimed, stats.delayed

    def purge(self, *, messages: bool = True, subscriptions: bool = True) -> None:
        run(lambda: self.store.purge(self.queue, messages=messages, subscriptions=subscriptions))

    # Claims

    def claim(
        self,
        claim: bytes | None = None,
        *,
        ttl: int = 60,
        grace: int = 60,
        limit: int = 10,
        dead_letter: DeadLetter | None = None,
    ) -> Claimed:
        claim = new_claim() if claim is None else claim
        return run(self.store.create_claim, self.queue, claim, ttl, grace, limit, dead_letter)

    def held_by(self, claim: bytes) -> Claim | None:
        return run(self.store.get_claim, self.queue, claim)

    def update(self, claim: bytes, *, ttl: int = 60, grace: int = 60) -> bool:
        return run(self.store.update_claim, self.queue, claim, ttl, grace)

    def release(self, claim: bytes) -> None:
        run(self.store.release_claim, self.queue, claim)

    # What is kept

    def message_id(self, sequence: int) -> bytes:
        """The 16 bytes of a message's id."""
        data = parse_uuid(format_id(sequence, self.queue.incarnation))
        assert data is not None
        return data

    def keys(self, client: redis.Redis) -> set[str]:
        """The names of the queue's keys in the store, without what they have in common."""
        tag = b"zg:{%016x}:" % self.queue.incarnation
        return {
            key.removeprefix(tag).decode() for key in client.scan_iter(b"*%016x*" % self.queue.incarnation)
        }

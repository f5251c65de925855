"""What is kept, and the two interfaces that keep it: the message store and the catalog.

Times are microseconds since the epoch on the store's own clock, unless a name says otherwise; ttl, grace
and delay are seconds. A *sequence* is drawn when a message is posted and names it for good; a *position*
is drawn when it becomes visible and is its place in the queue. Both come from one counter per queue that
only grows, so a message without delay has one number for both.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from protocol.body import Body
from protocol.metadata import QueueSettings, settings
from storage.moves import MoveCatalog
from storage.pools import DEFAULT_POOL, PoolCatalog


@dataclass(frozen=True)
class Queue:
    """A queue as the catalog knows it."""

    project: str
    name: str
    incarnation: int
    """62 random bits, drawn when the queue is created: a queue made anew under the same name is another."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    serial: int = 0
    """Grows by one with each change of the metadata: what a compare-and-swap compares."""
    pool: str = DEFAULT_POOL
    """The pool that its messages are in."""

    @cached_property
    def settings(self) -> QueueSettings:
        """What the reserved metadata say, with their defaults."""
        return settings(self.metadata)


class NewMessage(NamedTuple):
    """A message to be posted."""

    body: Body
    ttl: int
    delay: int = 0
    checksum: bytes | None = None
    """16 bytes, where the gateway computes them."""
    dedup_id: bytes = b""
    """By which a repeat is known; empty: it has none."""


class Origin(NamedTuple):
    """Where a dead letter came from."""

    queue_name: str
    message_id: bytes
    """The 16 bytes of the id that it had there."""


class Message(NamedTuple):
    """A message as it stands at the moment of the answer."""

    sequence: int
    position: int
    """Its place in the queue; while it is delayed, its sequence."""
    ttl: int
    age: int
    """Whole seconds since it was posted."""
    body: Body
    claim_id: bytes | None
    """The 16 bytes of the claim that holds it now."""
    claim_count: int
    checksum: bytes | None
    origin: Origin | None

    @property
    def created(self) -> int:
        """When it was posted, in seconds since the epoch."""
        return self.sequence // 1_000_000


@dataclass(frozen=True, slots=True)
class Start:
    """Where a list begins: behind `number`."""

    number: int = 0
    is_sequence: bool = False
    """True: `number` names a message and stands for the place where that is, or was."""


class Gap(NamedTuple):
    """Messages that a subscriber does not get: they stood behind `start`, the last of them at `end`."""

    start: int
    end: int
    reason: str
    """`expired`, `deleted` or `purged`: the last of them was. `failover`: the store lost writes."""


class Subscribed(NamedTuple):
    """A subscription that was made."""

    sequence: int
    position: int
    """It goes on behind this place: that of the newest message, unless it resumes."""
    gap: Gap | None
    """What it misses, if it resumes."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of messages."""

    messages: list[Message]
    position: int
    """The place of the last message looked at: the next page begins behind it."""


class DeadLetter(NamedTuple):
    """Where messages go that were claimed too often."""

    max_claim_count: int
    queue_name: str
    ttl: int | None
    """Seconds that they live there; None: as long as they would have lived."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim or a pop handed out."""

    messages: list[Message]
    dead_lettered: int
    """How many messages went to the dead letter queue instead."""


class Consumer(NamedTuple):
    """On what terms messages are leased to who gets them pushed."""

    claim: bytes
    """16 bytes."""
    token: bytes
    """8 bytes that no other consumer of this claim has, nor had."""
    ttl: int
    grace: int
    credit: int
    """How many messages the claim may hold."""


@dataclass(frozen=True, slots=True)
class Leased:
    """What a consumer's claim was given, and what there is to wait for."""

    messages: list[Message]
    dead_lettered: int
    """How many messages went to the dead letter queue instead."""
    held: int
    """How many messages the claim holds now."""
    free: int
    """How many messages are free."""
    due_in: float | None
    """Seconds until a delay or a claim ends, which may free some; None: not known, or nothing ends."""


class Held(NamedTuple):
    """A message in a claim. The count tells one lease of it from the next."""

    sequence: int
    claim_count: int


class Adopted(NamedTuple):
    """A claim that a consumer goes on with."""

    number: int
    """Grows each time that the claim is taken."""
    held: list[Held]
    """What it holds, in order."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A live claim."""

    age: int
    ttl: int
    messages: list[Message]


class Deleted(enum.Enum):
    """What came of deleting one message (protocol.md section 5)."""

    DONE = "DONE"
    CLAIMED = "CLAIMED"
    """It is claimed and no claim was named."""
    NO_SUCH_CLAIM = "NO_SUCH_CLAIM"
    NOT_CLAIMED = "NOT_CLAIMED"
    """A live claim was named, but the message is free."""
    OTHER_CLAIM = "OTHER_CLAIM"


@dataclass(frozen=True, slots=True)
class Stats:
    """How many messages there are, and the two at the ends."""

    free: int
    claimed: int
    delayed: int
    oldest: Message | None
    newest: Message | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who wants every message of a queue."""

    sequence: int
    subscriber: str
    ttl: int
    age: int
    options: Mapping[str, Any]
    confirmed: bool


class Waiting(NamedTuple):
    """A dead letter that is still in its queue's outbox."""

    entry: bytes
    """The stored entry, to take it out by."""
    sequence: int
    expires: int
    queue_name: str
    ttl: int | None
    record: bytes


@dataclass(frozen=True, slots=True)
class Swept:
    """A queue after what was due has been done."""

    due_in: float | None
    """Seconds until the next delay ends; None: nothing is delayed."""
    waiting: int
    """Dead letters in the outbox."""
    visible: int
    """The position of the last message that became visible."""


@dataclass(frozen=True, slots=True)
class Durability:
    """What the store says of itself, for `/readyz` and the log at the start."""

    server: str
    """Its kind and version, as in `valkey 9.1.2`."""
    persistence: str
    """`always`, `everysec`, `no`, `off` or `unknown`."""
    eviction: str
    """`maxmemory-policy`, or `unknown`."""
    role: str
    """`primary`, `replica` or `unknown`."""


class Announced(NamedTuple):
    """Messages that became visible, as the store announced them. A hint: it may be missed."""

    before: int
    """The position of the last message visible before these."""
    last: int
    """The position of the last of these."""
    messages: list[Message] | None
    """None where they were too large to be told: read them from the queue."""


class Ended(NamedTuple):
    """Subscriptions that were removed or expired, as the store announced it."""

    sequence: int | None
    """One of them; None: all that were made up to `until`."""
    until: int = 0
    reason: str = "unknown"
    """`expired`, `deleted`, `purged`, `queue_deleted`; or `unknown` where the announcement was missed."""


class Due(NamedTuple):
    """A delay, or a claim whose consumer has gone, ends in so many seconds."""

    due_in: float


class Free(NamedTuple):
    """There is more to lease, or more may be leased."""

    messages: bool
    """Whether messages became free that were claimed."""
    claims: list[bytes]
    """Claims that held as much as their consumer takes, and hold less now."""


class Taken(NamedTuple):
    """Somebody goes on with a claim: who took it with a smaller number has it no longer."""

    claim: bytes
    number: int


class Moved(NamedTuple):
    """The queue has left for another pool."""

    pool: str


Event = Announced | Ended | Due | Free | Taken | Moved


class MessageStore(Protocol):
    """Messages, claims and subscriptions of the queues of one pool.

    Every method raises `storage.errors.StaleQueue` where the queue's incarnation is not (or no longer)
    here, and the other errors of that module where the store is away, full or read-only. Nothing expired
    is ever shown or counted.
    """

    async def create(self, queue: Queue) -> None:
        """Make room for a queue; nothing happens if it is there.

        StaleQueue if it was removed, QueueMoved if it has left for another pool.
        """

    async def remove(self, queue: Queue) -> bool:
        """Remove a queue with all that is in it. False: dead letters must leave its outbox first."""

    async def purge(self, queue: Queue, *, messages: bool, subscriptions: bool) -> None:
        """Remove all messages with their claims, all subscriptions, or both."""

    async def post(
        self, queue: Queue, messages: Sequence[NewMessage], client: bytes, dedup_window: int = 0
    ) -> list[int]:
        """Store messages, all or none; returns their sequences in order. `client` is 16 bytes.

        A message whose dedup_id another has had within `dedup_window` seconds is not stored: the sequence is
        that one's. Where all have one, the post may be sent twice.
        """

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
        """Up to `limit` messages behind `start`, without those posted by the client `not_from`."""

    async def get_messages(self, queue: Queue, sequences: Sequence[int]) -> list[Message | None]:
        """The messages of these sequences, in the same order; None where there is none."""

    async def delete_message(self, queue: Queue, sequence: int, claim: bytes | None) -> Deleted:
        """Delete one message. An empty `claim` stands for one that cannot exist."""

    async def delete_messages(
        self, queue: Queue, sequences: Sequence[int], claims: Sequence[bytes] | None
    ) -> bool:
        """Delete messages. With `claims`, each must be held by one of these; else False, and none is."""

    async def pop_messages(self, queue: Queue, limit: int, dead_letter: DeadLetter | None) -> Claimed:
        """Take up to `limit` free messages out of the queue. At most once: a lost answer loses them."""

    async def stats(self, queue: Queue) -> Stats:
        """Counts and the two ends."""

    async def create_claim(
        self, queue: Queue, claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None
    ) -> Claimed:
        """Lease up to `limit` free messages to the claim (16 bytes) for `ttl` seconds."""

    async def get_claim(self, queue: Queue, claim: bytes) -> Claim | None:
        """A live claim with its messages."""

    async def update_claim(self, queue: Queue, claim: bytes, ttl: int, grace: int) -> bool:
        """Start a claim's time anew. False: there is none."""

    async def release_claim(self, queue: Queue, claim: bytes, token: bytes | None = None) -> None:
        """End a claim; its messages are free again, each at its old place.

        :param token: only if the claim is the consumer's of this token.
        """

    async def release_messages(self, queue: Queue, sequences: Sequence[int], claim: bytes) -> None:
        """Free those of the messages that the claim holds, each at its old place."""

    async def lease(
        self, queue: Queue, consumer: Consumer, limit: int, sharing: int, dead_letter: DeadLetter | None
    ) -> Leased | None:
        """Lease more free messages to a consumer's claim, whose time begins anew with them.

        It gets up to `limit`, as long as it holds no more than its credit, of what is free divided by
        `sharing`. None: another consumer has the claim. A lost answer is found out by `adopt_claim`.
        """

    async def adopt_claim(self, queue: Queue, consumer: Consumer, before: bytes) -> Adopted | None:
        """Make the claim, which may be new, this consumer's and start its time anew; returns what it holds.

        :param before: the token that the same consumer had up to now: None if the claim is another's. A call
            of `lease` with that token does nothing any more. Empty: it is taken from whoever has it.
        """

    async def lapse_claim(self, queue: Queue, consumer: Consumer, seconds: float) -> None:
        """Let a consumer's claim end in so many seconds, if it is still its and does not end before."""

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
        """Add a subscription; None if the subscriber has one.

        It has got all messages up to `start` already; None: all that there are.
        """

    async def find_gap(self, queue: Queue, position: int) -> Gap | None:
        """What those miss who have got all messages up to a position that they were told."""

    async def list_subscriptions(self, queue: Queue, after: int, limit: int) -> list[Subscription]:
        """Up to `limit` subscriptions with a sequence above `after`."""

    async def get_subscription(self, queue: Queue, sequence: int) -> Subscription | None:
        """One subscription."""

    async def update_subscription(
        self,
        queue: Queue,
        sequence: int,
        *,
        subscriber: str | None = None,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> bool | None:
        """Change what is given. None: there is no such subscription; False: the subscriber has another."""

    async def unsubscribe(self, queue: Queue, sequence: int) -> None:
        """Remove a subscription, if it is there."""

    async def unsubscribe_subscriber(self, queue: Queue, subscriber: str) -> None:
        """Remove the subscription of a subscriber, if there is one."""

    async def sweep(self, queue: Queue) -> Swept:
        """Do what is due: end claims, delays, messages and subscriptions whose time has come."""

    async def waiting_dead_letters(self, queue: Queue, limit: int) -> list[Waiting]:
        """The first dead letters in the outbox."""

    async def deliver_dead_letter(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        """Put a dead letter into its queue, which is in this store. Once, however often it is called."""

    async def forget_dead_letter(self, source: Queue, waiting: Waiting) -> None:
        """Take a delivered dead letter out of the outbox."""

    async def dead_letter_arrived(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        """It has left the outbox: the target need not remember it much longer."""

    async def durability(self) -> Durability:
        """Look at the store's persistence and memory policy. Also proves that it answers."""


class Catalog(PoolCatalog, MoveCatalog, Protocol):
    """Which queues exist, what is said of them, and which pool each lives in."""

    async def create_queue(self, project: str, name: str, metadata: Mapping[str, Any]) -> tuple[Queue, bool]:
        """The queue, and whether it is new; an existing one is left as it is, in the pool that it has.

        A new one goes to a pool of the flavor that its metadata name, or of all, at random by weight.
        Of several that create it at once, all get the same row. UnknownFlavor; NoPool if none takes it.
        """

    async def get_queue(self, project: str, name: str) -> Queue | None:
        """One queue."""

    async def update_queue(self, queue: Queue, metadata: Mapping[str, Any]) -> bool:
        """Replace the metadata if they are still those of `queue`. False: they are not, or it is gone.

        UnknownFlavor if they name another flavor than before, which does not exist. The queue stays where it
        is.
        """

    async def delete_queue(self, queue: Queue) -> None:
        """Remove this incarnation of a queue, if it is there."""

    async def find_queues(self, name: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of this name, of any project."""

    async def list_queues(self, project: str, after: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of a project by name, byte by byte, whose names come after `after`."""

    async def all_queues(self, after: int, limit: int) -> list[Queue]:
        """Up to `limit` queues of all projects by incarnation, above `after`: for housekeeping."""

    async def queue_versions(self, incarnations: Collection[int]) -> dict[int, tuple[int, str]]:
        """The serials and pools of those queues that are there, by incarnation."""

    async def ping(self) -> None:
        """Prove that the catalog answers."""

"""What is kept: queues, messages, claims and subscriptions, and what comes of asking for them.

Times are microseconds since the epoch on the store's own clock, unless a name says otherwise; ttl, grace
and delay are seconds. A *sequence* is drawn when a message is posted and names it for good; a *position*
is drawn when it becomes visible and is its place in the queue. Both come from one counter per queue that
only grows, so a message without delay has one number for both.

A *timeline* (8 bytes) names the line of writes that a position belongs to. A failover, or a crash, that loses
writes begins another one, where what was lost has no place and others may get its positions. Empty: the store
does not tell.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from msgspec import Struct

from protocol.body import Body
from protocol.metadata import QueueSettings, settings
from storage.pools import DEFAULT_POOL


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


class NewMessage(Struct, frozen=True, gc=False):
    """A message to be posted."""

    body: Body
    ttl: int
    delay: int = 0
    checksum: bytes | None = None
    """16 bytes, where the gateway computes them."""
    dedup_id: bytes = b""
    """By which a repeat is known; empty: it has none."""


RECORD_BYTES: Final = 21
"""What a message takes beside its body; more if it has a checksum, or was a dead letter."""


class Room(NamedTuple):
    """How much a queue may hold; 0: any number."""

    messages: int = 0
    bytes: int = 0
    """Of bodies, and of RECORD_BYTES and more for each."""


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


class Found(NamedTuple):
    """What came of looking for a gap."""

    gap: Gap | None
    timeline: bytes
    """The queue's now."""


class Subscribed(NamedTuple):
    """A subscription that was made."""

    sequence: int
    position: int
    """It goes on behind this place: that of the newest message, unless it resumes."""
    gap: Gap | None
    """What it misses, if it resumes."""
    timeline: bytes = b""
    """What `position` belongs to."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of messages."""

    messages: list[Message]
    position: int
    """The place of the last message looked at: the next page begins behind it."""
    timeline: bytes = field(default=b"", compare=False)
    """What the positions belong to."""


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


class DeliveryCounts(NamedTuple):
    """What came of delivering to a subscriber that is no socket."""

    delivered: int = 0
    failed: int = 0
    """Messages that were given up."""
    missed: int = 0
    """How often messages had left the queue before they were read for it. Several count once."""
    last_error: str = ""
    """Why the last try that failed did so."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who wants every message of a queue."""

    sequence: int
    subscriber: str
    ttl: int
    age: int
    options: Mapping[str, Any]
    confirmed: bool
    delivery: DeliveryCounts | None = None
    """Only where one subscription is asked for, and the gateway delivers to it."""


class Waiting(NamedTuple):
    """A dead letter that is still in its queue's outbox."""

    entry: bytes
    """The stored entry, to take it out by."""
    sequence: int
    expires: int
    queue_name: str
    ttl: int | None
    record: bytes
    """Not encrypted."""
    encrypted: bool = False
    """Whether it was, in the queue that it comes from."""


@dataclass(frozen=True, slots=True)
class Swept:
    """A queue after what was due has been done."""

    due_in: float | None
    """Seconds until the next delay ends; None: nothing is delayed."""
    waiting: int
    """Dead letters in the outbox."""
    visible: int
    """The position of the last message that became visible."""
    timeline: bytes
    """What it belongs to."""
    bytes: int
    """Bytes of its messages' records."""
    deliveries: bool
    """Whether it has subscribers that the gateway delivers to."""
    claim_ends_in: float | None
    """Seconds until the next claim ends; None: there is none."""

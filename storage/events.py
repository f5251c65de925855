"""What a store announces of a queue. Hints: any of them may be missed (docs/architecture.md, "Push")."""

from __future__ import annotations

from typing import NamedTuple

from storage.records import Message


class Announced(NamedTuple):
    """Messages that became visible, as the store announced them. A hint: it may be missed."""

    before: int
    """The position of the last message visible before these."""
    last: int
    """The position of the last of these."""
    messages: list[Message] | None
    """None where they were too large to be told: read them from the queue."""
    timeline: bytes = b""
    """What the positions belong to."""


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


class DeliveriesChanged(NamedTuple):
    """A subscription that is delivered to was made, changed or has ended."""

    sequence: int | None
    """Which; None: any of them."""


class Moved(NamedTuple):
    """The queue has left for another pool."""

    pool: str


Event = Announced | Ended | Due | Free | Taken | DeliveriesChanged | Moved

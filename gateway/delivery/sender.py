"""What sends one notification to a subscriber, whatever the way: HTTP, mail."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from storage.records import Queue, Subscription


class Endpoint(NamedTuple):
    """The server that answers for a subscriber. Limits and the circuit breaker count by it."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What a subscriber is to be told: a message of its queue, or something about its subscription."""

    queue: Queue
    subscription: Subscription
    body: bytes
    """A JSON object (protocol.md sections 4 and 6)."""
    message_id: str | None = None
    """None: it is not about a message."""


class Result(enum.Enum):
    """What came of sending."""

    DELIVERED = "delivered"
    AGAIN = "again"
    """Not delivered now; the retry policy says when it is tried again, and how often."""
    REFUSED = "refused"
    """Not delivered, and no other try would change that."""


class Sent(NamedTuple):
    """What came of sending, and why.

    The text is shown to whoever may read the subscription: no secrets, no addresses of the inside.
    """

    result: Result
    error: str = ""


class Sender(Protocol):
    """Sends to the subscribers of some schemes."""

    def endpoint(self, subscriber: str) -> Endpoint:
        """Where this subscriber's notices go. ValueError: nowhere, it is no URL that can be sent to."""

    async def send(self, notice: Notice) -> Sent:
        """Send once, within a time that the sender bounds. Never fails: what goes wrong is in the result.

        May be cancelled; then it is not known whether the notice has arrived.
        """

    async def stop(self) -> None:
        """Close what is kept open. Called once, when nobody sends any more."""

"""Deliveries to subscribers that are not sockets: their place in the queue, and who may move it.

Such a subscription has no copies of messages. It has a *place*: a position up to which all messages were
delivered, or given up. A gateway that delivers becomes the queue's *owner* by a token (`own_deliveries`). Who
wrote its token last is the owner; all others, however late they come, are refused. A server that takes over,
and the store of another pool, begin without an owner: what an owner knows of places may be lost there.

A call that is made twice does no more the second time: a place only ever moves forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from storage.records import Gap, Message, Queue, Subscription

TOKEN_BYTES = 8
"""Bytes of an owner's token, which are random."""

ERROR_BYTES = 200
"""Bytes of an error that are kept, in UTF-8."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A subscription that is delivered to, and how far that is."""

    subscription: Subscription
    """With its `delivery`: what came of it so far."""
    position: int
    """Its place."""
    attempts: int
    """How often the next message was tried in vain."""
    due_in: float
    """Seconds until it may be tried next; 0: at once."""
    timeline: bytes
    """What the place belongs to (storage.records)."""


class Undelivered(NamedTuple):
    """Messages that come next for a subscription."""

    messages: list[Message]
    position: int
    """The next page begins behind this place."""
    gap: Gap | None
    """Messages behind the beginning of the page had left the queue. Told once, as it is counted."""


class DeliveryStore(Protocol):
    """What a message store keeps for deliveries. It raises what `storage.base.MessageStore` does."""

    async def own_deliveries(self, queue: Queue, owner: bytes) -> None:
        """Become the owner, in place of whoever is. `owner`: TOKEN_BYTES."""

    async def deliveries(self, queue: Queue, owner: bytes, after: int, limit: int) -> list[Delivery] | None:
        """Up to `limit` subscriptions that are delivered to, with a sequence above `after`, by sequence.

        None: the deliveries are another's.
        """

    async def undelivered(
        self, queue: Queue, owner: bytes, sequence: int, after: int, limit: int
    ) -> Undelivered | None:
        """Up to `limit` messages behind the place `after`, claimed ones too.

        What was removed behind that place (expired, deleted, purged) is counted as missed, here and now: only
        the script that reads the page knows for certain what it does not hold.

        The page ends in front of a message that cannot be read. MessageUnreadable if that is the first.

        None: the deliveries are another's, or the subscription has gone.
        """

    async def delivered(self, queue: Queue, owner: bytes, sequence: int, position: int, count: int) -> bool:
        """All messages up to a position have been delivered; since the last call, so many.

        The next message has not been tried yet. False: the deliveries are another's, or the subscription has
        gone.
        """

    async def delivery_postponed(
        self, queue: Queue, owner: bytes, sequence: int, attempts: int, seconds: float, error: str
    ) -> bool:
        """The next message was tried `attempts` times in vain. It is due again in so many seconds.

        Of the error, ERROR_BYTES are kept. False as in `delivered`.
        """

    async def delivery_failed(
        self,
        queue: Queue,
        owner: bytes,
        sequence: int,
        message: int,
        position: int,
        error: str,
        dead_letter: tuple[str, int | None] | None,
    ) -> bool:
        """A message was given up: it is counted, and the place moves to its position.

        :param message: its sequence.
        :param dead_letter: the dead letter queue, and the seconds that it lives there (None: as long as it
            would have lived). A copy of the message is put into the outbox for that, if it is still there;
            it stays in its own queue too. However many subscribers it could not be delivered to, one copy
            arrives. StoreFull, and nothing is done, where memory is used up.

        False as in `delivered`.
        """

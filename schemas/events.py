"""What the gateway sends unasked: notifications (protocol.md section 4), events (protocol.extension).

No event has an id: they are no replies.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from schemas.messages import MessageView


class Notification(Struct, frozen=True, kw_only=True, rename={"message_type": "Message_Type"}):
    """A message for a subscriber. `ttl` in seconds. No id: it is not a reply."""

    ttl: int
    body: Raw
    message_type: Literal["Notification"] = "Notification"
    queue_name: str


class ExtendedNotification(Struct, frozen=True, kw_only=True, rename={"message_type": "Message_Type"}):
    """A message for a subscriber whose socket has agreed on the extension. `ttl` in seconds."""

    ttl: int
    body: Raw
    message_type: Literal["Notification"] = "Notification"
    queue_name: str
    message_id: str
    marker: str
    created: str


class Gap(Struct, frozen=True, kw_only=True, rename={"after": "from"}):
    """Messages that a subscription does not get: behind `from`, up to `to`, not all are there any more."""

    after: str
    to: str
    reason: Literal["expired", "deleted", "purged", "failover"]


class GapEvent(Struct, frozen=True, kw_only=True, rename={"after": "from"}):
    """The store has lost writes: the messages behind `from`, up to `to`, are gone. New ones follow."""

    event: Literal["gap"] = "gap"
    queue_name: str
    after: str
    to: str
    reason: Literal["failover"] = "failover"


class BehindEvent(Struct, frozen=True, kw_only=True):
    """The socket takes less than comes: the subscription goes on from the queue when it takes more."""

    event: Literal["behind"] = "behind"
    queue_name: str


class CaughtUpEvent(Struct, frozen=True, kw_only=True):
    """A subscription that was behind has got all that it had missed."""

    event: Literal["caught_up"] = "caught_up"
    queue_name: str


class SubscriptionEndedEvent(Struct, frozen=True, kw_only=True):
    """A subscription of this socket has ended: it gets nothing more."""

    event: Literal["subscription_ended"] = "subscription_ended"
    queue_name: str
    subscription_id: str
    reason: Literal["expired", "deleted", "purged", "queue_deleted", "not_permitted", "unknown"]


class TokenExpiringEvent(Struct, frozen=True, kw_only=True):
    """The token of the socket expires soon: authenticate again, or it closes with 4003."""

    event: Literal["token_expiring"] = "token_expiring"
    seconds: Annotated[int, Meta(extra_json_schema={"minimum": 0})]


class DrainingEvent(Struct, frozen=True, kw_only=True):
    """The node stops: it answers what it has got, and closes with 1012. Come back after so long."""

    event: Literal["draining"] = "draining"
    reconnect_after_ms: Annotated[int, Meta(extra_json_schema={"minimum": 0})]


class StreamGapEvent(Struct, frozen=True, kw_only=True, rename={"after": "from"}):
    """An event stream does not get all messages behind `from`, up to `to`: some are gone. It goes on."""

    event: Literal["gap"] = "gap"
    queue_name: str
    after: str
    to: str
    reason: Literal["expired", "deleted", "purged", "failover"]


class TokenExpiredEvent(Struct, frozen=True, kw_only=True):
    """The token or the signature of an event stream is over, and the stream ends. Come with another one."""

    event: Literal["token_expired"] = "token_expired"


class UnavailableEvent(Struct, frozen=True, kw_only=True):
    """An event stream cannot begin now, and ends. Come back. `code` as of a reply that says so."""

    event: Literal["unavailable"] = "unavailable"
    code: str
    reason: str


ClaimEndReason = Literal["queue_deleted", "taken_over", "not_permitted"]


class ClaimEvent(Struct, frozen=True, kw_only=True):
    """Messages that were leased to a consumer."""

    event: Literal["claim"] = "claim"
    queue_name: str
    claim_id: str
    messages: list[MessageView]


class ClaimEnded(Struct, frozen=True, kw_only=True):
    """A consumer gets nothing more."""

    event: Literal["claim_ended"] = "claim_ended"
    queue_name: str
    claim_id: str
    reason: ClaimEndReason


EVENTS: Final = (
    GapEvent,
    BehindEvent,
    CaughtUpEvent,
    SubscriptionEndedEvent,
    DrainingEvent,
    TokenExpiringEvent,
    ClaimEvent,
    ClaimEnded,
)
"""Frames with an `event`, by whose name a client tells them apart."""

STREAM_EVENTS: Final = (
    *(StreamGapEvent, BehindEvent, CaughtUpEvent, SubscriptionEndedEvent),
    *(DrainingEvent, TokenExpiringEvent, TokenExpiredEvent, UnavailableEvent),
)
"""What an event stream tells beside messages, as events of their names."""

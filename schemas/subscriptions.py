"""Subscriptions: requests and replies (protocol.md sections 3 and 6)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from schemas import limits
from schemas.events import Gap
from schemas.fields import NewQueueName, PageLimit, SubscriptionTtl, integer


class SubscriptionCreate(Struct, frozen=True, kw_only=True):
    """Subscribe to a queue. Without a subscriber, or with an empty one: this WebSocket."""

    queue_name: NewQueueName
    subscriber: str | UnsetType = UNSET
    ttl: SubscriptionTtl | UnsetType = UNSET
    options: dict[str, Raw] | UnsetType = UNSET
    # Kept as it was sent: on a socket without the extension it is ignored, whatever it is.
    start: Annotated[Raw, Meta(extra_json_schema={"type": "string"})] | UnsetType = field(
        name="from", default=UNSET
    )


class SubscriptionList(Struct, frozen=True, kw_only=True):
    """List a queue's subscriptions."""

    queue_name: str
    marker: str | UnsetType = UNSET
    limit: PageLimit | UnsetType = UNSET


class SubscriptionGet(Struct, frozen=True, kw_only=True):
    """Read a subscription."""

    queue_name: str
    subscription_id: str


class SubscriptionUpdate(Struct, frozen=True, kw_only=True):
    """Change a subscription: at least one of its subscriber, ttl and options."""

    queue_name: str
    subscription_id: str
    subscriber: str | UnsetType = UNSET
    ttl: Annotated[int, integer(limits.SUBSCRIPTION_TTL_MIN)] | UnsetType = UNSET
    options: dict[str, Raw] | UnsetType = UNSET


class SubscriptionConfirm(Struct, frozen=True, kw_only=True):
    """Say whether the subscriber wants the queue's messages."""

    queue_name: str
    subscription_id: str
    confirmed: bool


class SubscriptionDelete(Struct, frozen=True, kw_only=True):
    """Remove a subscription."""

    queue_name: str
    subscription_id: str


class SubscriptionCreateReply(Struct, frozen=True, kw_only=True):
    """A new subscription. (A duplicate is answered with a plain string.)

    On an extended socket also where it goes on, whether it has missed nothing, and else what.
    """

    subscription_id: str
    message: str
    marker: str | UnsetType = UNSET
    recovered: bool | UnsetType = UNSET
    gap: Gap | UnsetType | None = UNSET
    signature_secret: str | UnsetType = UNSET


class DeliveryView(Struct, frozen=True, kw_only=True):
    """What came of delivering messages to the subscriber so far."""

    delivered: int
    failed: int
    missed: int
    last_error: str


class SubscriptionView(Struct, frozen=True, kw_only=True):
    """A subscription as it is shown. `ttl` and `age` in seconds."""

    id: str
    source: str
    subscriber: str
    ttl: int
    age: int
    options: dict[str, Any]
    confirmed: bool
    delivery: DeliveryView | UnsetType = UNSET
    signature_secret: str | UnsetType = UNSET


class SubscriptionListReply(Struct, frozen=True, kw_only=True):
    """A page of subscriptions. `marker` asks for the next one; null: there is nothing to go on from."""

    subscriptions: list[SubscriptionView]
    marker: str | None

"""How subscriptions, pools and flavors are shown."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from gateway.actions.call import Call
from protocol.identifiers import format_id
from protocol.subscribers import WEB_SCHEMES, scheme_of
from protocol.webhook_signature import secret_of
from schemas.events import Gap as GapView
from schemas.flavors import CAPABILITIES, FlavorView
from schemas.pools import PoolView
from schemas.subscriptions import DeliveryView, SubscriptionCreateReply, SubscriptionView
from storage.pools import Flavor, Pool
from storage.records import Gap, Queue, Subscription
from storage.redis.address import masked


def subscription_view(subscription: Subscription, queue: Queue, secret: str = "") -> SubscriptionView:
    """A subscription as list and get show it.

    :param secret: what its webhook can check signatures by; empty in lists.
    """
    counts = subscription.delivery
    further: dict[str, Any] = {"signature_secret": secret} if secret else {}
    if counts is not None:
        further["delivery"] = DeliveryView(**counts._asdict())
    return SubscriptionView(
        id=format_id(subscription.sequence, queue.incarnation),
        source=queue.name,
        subscriber=subscription.subscriber,
        ttl=subscription.ttl,
        age=subscription.age,
        options=dict(subscription.options),
        confirmed=subscription.confirmed,
        **further,
    )


def created(
    call: Call, queue: Queue, subscriber: str, sequence: int, **further: Any
) -> SubscriptionCreateReply:
    """What is answered when there is a subscription that the client asked for."""
    subscription_id = format_id(sequence, queue.incarnation)
    return SubscriptionCreateReply(
        subscription_id=subscription_id,
        message=f"Subscription {queue.name} created.",
        signature_secret=signature_secret(call, subscriber, subscription_id) or UNSET,
        **further,
    )


def signature_secret(call: Call, subscriber: str, subscription_id: str) -> str:
    """What a webhook checks the signatures by of what it is sent; empty for others, and without keys."""
    keys = call.node.signing_keys
    if not keys or scheme_of(subscriber) not in WEB_SCHEMES:
        return ""
    return secret_of(keys[0], call.project, call.body.queue_name, subscription_id)


def gap_view(gap: Gap) -> GapView:
    """What a subscription does not get."""
    reason: Any = gap.reason  # the store tells no other than the schema has
    return GapView(after=str(gap.start), to=str(gap.end), reason=reason)


def pool_view(pool: Pool, *, in_full: bool = True) -> PoolView:
    """A pool without its password. `in_full`: with its options."""
    further: dict[str, Any] = {"options": dict(pool.options)} if in_full else {}
    return PoolView(
        name=pool.name,
        # The default pool has none in the catalog: each gateway knows its own.
        uri=masked(pool.uri) if pool.uri else None,
        weight=pool.weight,
        flavor=pool.flavors[0] if pool.flavors else None,
        flavors=list(pool.flavors),
        **further,
    )


def flavor_view(flavor: Flavor, *, in_full: bool = True) -> FlavorView:
    """A flavor. `in_full`: with what its pools can do."""
    further: dict[str, Any] = {"capabilities": list(CAPABILITIES)} if in_full else {}
    return FlavorView(name=flavor.name, pool_list=list(flavor.pools), **further)

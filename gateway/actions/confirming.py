"""Subscribers that are asked whether they want a queue's messages (protocol.md section 6).

They are webhooks and mail addresses: who opened a socket has confirmed by that (docs/compatibility.md, 26).
"""

from __future__ import annotations

from contextlib import suppress

from gateway.actions.call import Call
from gateway.actions.views import created
from gateway.delivery.confirmations import Confirmations
from schemas.subscriptions import SubscriptionCreateReply
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Queue, Subscription


async def _find_unconfirmed(call: Call) -> tuple[Queue, Subscription] | None:
    """The subscription that the subscriber has; None if it has confirmed it, or has none."""

    async def find(store: MessageStore, queue: Queue) -> tuple[Queue, Subscription] | None:
        found = await store.find_subscription(queue, call.body.subscriber)
        return None if found is None or found.confirmed else (queue, found)

    with suppress(NoQueue):  # it was removed in this moment
        return await call.router.run(call.project, call.body.queue_name, find)
    return None


async def create_again(call: Call, confirmations: Confirmations | None) -> SubscriptionCreateReply | None:
    """What a subscriber has already that has not confirmed yet; None: it has confirmed.

    :param confirmations: ask it anew; None: nobody does.
    """
    found = await _find_unconfirmed(call)
    if found is None:
        return None
    queue, subscription = found
    if confirmations is not None:
        confirmations.ask(queue, subscription)
    return created(call, queue, subscription.subscriber, subscription.sequence)


async def is_another(store: MessageStore, queue: Queue, sequence: int, subscriber: str | None) -> bool:
    """Whether a subscription is about to get another subscriber."""
    found = None if subscriber is None else await store.get_subscription(queue, sequence)
    return found is not None and found.subscriber != subscriber


async def ask(confirmations: Confirmations, store: MessageStore, queue: Queue, sequence: int) -> None:
    """Ask the subscriber of a subscription, if there is one still."""
    subscription = await store.get_subscription(queue, sequence)
    if subscription is not None:
        confirmations.ask(queue, subscription)


async def tell_unsubscribed(
    confirmations: Confirmations, store: MessageStore, queue: Queue, sequence: int
) -> None:
    """Tell a subscriber that it gets nothing any more, unless it is a socket."""
    subscription = await store.get_subscription(queue, sequence)
    if subscription is not None and subscription.delivery is not None:
        confirmations.tell_unsubscribed(queue, subscription)

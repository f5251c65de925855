"""Subscriptions (protocol.md sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from time import time
from typing import Any

from msgspec import UNSET

from gateway.actions.call import Answer, Call, given
from gateway.actions.confirming import ask, create_again, is_another, tell_unsubscribed
from gateway.actions.messages import missing_queue
from gateway.actions.trusting import IN_USE, change_trust, end_trust, with_trust
from gateway.actions.views import created, gap_view, signature_secret, subscription_view
from protocol.codec import CODECS
from protocol.errors import BadRequest, Conflict, NotFound, SchemaViolation, TooManySubscriptions
from protocol.extension import EARLIEST, NOW
from protocol.identifiers import format_id, parse_id, parse_marker
from protocol.subscribers import check_lifetime, check_subscriber, is_trusted, read_options
from schemas import limits
from schemas.queues import EmptyReply
from schemas.subscriptions import SubscriptionListReply, SubscriptionView
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Gap, Queue, Start, Subscribed, Subscription


async def subscription_create(call: Call) -> Answer:
    """Subscribe this socket, or somebody by URL; 409 if the subscriber is subscribed. Creates the queue."""
    body = call.body
    subscriber, extended = given(body.subscriber, ""), call.client.extended
    # On an extended socket its own subscription lives as long as the socket does: who closes it ends it.
    lasting = extended and not subscriber
    default = limits.SUBSCRIPTION_TTL_OF_SOCKET if lasting else limits.SUBSCRIPTION_TTL_DEFAULT
    ttl = given(body.ttl, default)
    check_lifetime(ttl, time())
    options = read_options(body.options, call.form)
    resumes = _resumes(call) if extended else ""
    confirmations = call.node.confirmations if subscriber else None
    if subscriber:
        check_subscriber(subscriber)
        if confirmations is not None:
            confirmations.check_room(call.project)
        options = await with_trust(call, subscriber, time() + ttl, options)
    elif not call.client.subscriber:
        raise BadRequest("subscriber is missing: over REST there is no socket that could be meant")
    else:
        _check_room(call)

    async def subscribe(store: MessageStore, queue: Queue) -> tuple[Subscribed, Queue] | None:
        if subscriber:
            await call.node.deliveries.add(queue)
            made = await store.subscribe(queue, subscriber, ttl, options, confirmed=False, deliver=True)
            call.node.deliveries.look()
        else:
            client, start = call.client, _start(resumes, queue)
            made = await call.node.hub.subscribe(
                client, queue, client.subscriber, ttl, options, call.form, start
            )
        return None if made is None else (made, queue)

    made = await call.router.run(call.project, body.queue_name, subscribe, create=True)
    if made is None:
        end_trust(call, options)
        again = None if confirmations is None else await create_again(call, confirmations)
        return (409, f"Subscription {body.queue_name} not created.") if again is None else (201, again)
    subscribed, queue = made
    if confirmations is not None:
        confirmations.ask(queue, Subscription(subscribed.sequence, subscriber, ttl, 0, options, False))
    further = _where_it_stands(subscribed, resumes) if lasting else {}
    return 201, created(call, queue, subscriber, subscribed.sequence, **further)


async def open_stream(call: Call) -> tuple[int | None, Gap | None]:
    """Subscribe an event stream to a queue, which has to be there (NotFound).

    Returns behind which position it begins, None for the beginning of the queue, and what it misses.

    The call is one of `subscription_create`, by a client whose `subscriber` no other has.
    """
    resumes = _resumes(call)

    async def subscribe(_: MessageStore, queue: Queue) -> Subscribed | None:
        client, ttl = call.client, limits.SUBSCRIPTION_TTL_OF_SOCKET
        start = _start(resumes, queue)
        return await call.node.hub.subscribe(client, queue, client.subscriber, ttl, {}, call.form, start)

    try:
        made = await call.router.run(call.project, call.body.queue_name, subscribe)
    except NoQueue:
        raise missing_queue(call) from None
    assert made is not None
    return (None if resumes == EARLIEST else made.position), _missed(made, resumes)


def _check_room(call: Call) -> None:
    """Raise TooManySubscriptions if the socket has as many as it may. Before the queue is created for one."""
    most = call.node.settings.max_subscriptions_per_socket
    if most and call.node.hub.count(call.client) >= most:
        raise TooManySubscriptions(f"A socket may have {most} subscriptions. Delete one of them first.")


def _resumes(call: Call) -> str:
    """From where the subscription resumes: a marker or EARLIEST; empty for one that begins now."""
    raw = call.body.start
    if raw is UNSET:
        return ""
    try:
        text = CODECS[call.form].decode(raw, str)
    except SchemaViolation:
        text = ""
    if not text:
        raise BadRequest('from must be "now", "earliest" or a marker')
    if given(call.body.subscriber, ""):
        raise BadRequest("from is for subscriptions of this socket: leave out subscriber, or from")
    if text == NOW:
        return ""
    if text != EARLIEST:
        parse_marker(text, 0)  # before the queue is created for it
    return text


def _start(resumes: str, queue: Queue) -> Start | None:
    if not resumes:
        return None
    if resumes == EARLIEST:
        return Start()
    match parse_marker(resumes, queue.incarnation):
        case ("position", number):
            return Start(number)
        case ("sequence", number):
            return Start(number, is_sequence=True)
        case _:
            raise BadRequest("from is the id of a message of another queue")


def _where_it_stands(subscribed: Subscribed, resumes: str) -> dict[str, Any]:
    """The further fields of the reply on an extended socket."""
    gap = _missed(subscribed, resumes)
    shown = None if gap is None else gap_view(gap)
    return {"marker": str(subscribed.position), "recovered": gap is None, "gap": shown}


def _missed(subscribed: Subscribed, resumes: str) -> Gap | None:
    """What a new subscription does not get. Who asks for all that there is misses nothing of it."""
    return None if resumes == EARLIEST else subscribed.gap


async def subscription_list(call: Call) -> Answer:
    """A page of subscriptions in the order in which they were made."""
    body = call.body
    limit = given(body.limit, limits.PAGE_DEFAULT)

    async def read(store: MessageStore, queue: Queue) -> list[SubscriptionView]:
        marker = parse_marker(given(body.marker, ""), queue.incarnation)
        found = await store.list_subscriptions(queue, marker[1] if marker else 0, limit)
        return [subscription_view(subscription, queue) for subscription in found]

    try:
        shown = await call.router.run(call.project, body.queue_name, read)
    except NoQueue:
        shown = []
    return 200, SubscriptionListReply(subscriptions=shown, marker=shown[-1].id if shown else None)


async def subscription_get(call: Call) -> Answer:
    """One subscription."""
    queue, found = await _find(call)
    # A socket's has the form of a URL too, and is delivered nothing.
    secret = (
        ""
        if found.delivery is None
        else signature_secret(call, found.subscriber, format_id(found.sequence, queue.incarnation))
    )
    return 200, subscription_view(found, queue, secret)


async def _find(call: Call) -> tuple[Queue, Subscription]:
    """The subscription that is named. Raises NotFound."""

    async def read(store: MessageStore, queue: Queue) -> tuple[Queue, Subscription] | None:
        sequence = _sequence(call, queue)
        found = None if sequence is None else await store.get_subscription(queue, sequence)
        return None if found is None else (queue, found)

    try:
        found = await call.router.run(call.project, call.body.queue_name, read)
    except NoQueue:
        found = None
    if found is None:
        raise _no_subscription(call)
    return found


def _sequence(call: Call, queue: Queue) -> int | None:
    """The sequence of the subscription that is named, if it is of this queue."""
    parsed = parse_id(call.body.subscription_id)
    return parsed[0] if parsed is not None and parsed[1] == queue.incarnation else None


def _no_subscription(call: Call) -> NotFound:
    return NotFound(
        f"Subscription {call.body.subscription_id} does not exist in queue {call.body.queue_name} "
        f"for project {call.project}",
        error="The specified subscription does not exist or has expired.",
    )


async def subscription_update(call: Call) -> Answer:
    """Change a subscription's subscriber, ttl or options."""
    body = call.body
    subscriber, ttl = given(body.subscriber, None), given(body.ttl, None)
    options = None if given(body.options, None) is None else read_options(body.options, call.form)
    if subscriber is not None:
        check_subscriber(subscriber)
    if ttl is not None:
        check_lifetime(ttl, time())

    confirmations = call.node.confirmations
    if subscriber is not None and confirmations is not None:
        confirmations.check_room(call.project)
    before: Mapping[str, Any] = {}
    if call.node.trusts is not None or (subscriber is not None and is_trusted(subscriber)):
        _, found = await _find(call)
        before = found.options
        subscriber, options = await change_trust(call, found, subscriber, ttl, options)

    async def update(store: MessageStore, queue: Queue) -> bool | None:
        sequence = _sequence(call, queue)
        if sequence is None:
            return None
        # Whoever takes another's place has confirmed nothing.
        anew = confirmations is not None and await is_another(store, queue, sequence, subscriber)
        done = await store.update_subscription(
            queue,
            sequence,
            subscriber=subscriber,
            ttl=ttl,
            options=options,
            confirmed=False if anew else None,
            deliver=True,
        )
        if done and anew and confirmations is not None:
            await ask(confirmations, store, queue, sequence)
        return done

    try:
        done = await call.router.run(call.project, body.queue_name, update)
    except NoQueue:
        done = None
    if done:
        end_trust(call, before, IN_USE)
    else:
        end_trust(call, options)
    if done is None:
        raise _no_subscription(call)
    if not done:
        raise Conflict(f"{subscriber} has a subscription to queue {body.queue_name} already.")
    return 204, EmptyReply()


async def subscription_confirm(call: Call) -> Answer:
    """Note whether the subscriber wants the messages."""

    async def confirm(store: MessageStore, queue: Queue) -> bool | None:
        sequence = _sequence(call, queue)
        if sequence is None:
            return None
        confirmations = call.node.confirmations
        done = await store.update_subscription(
            queue, sequence, confirmed=call.body.confirmed, keep_place=confirmations is None
        )
        if done and not call.body.confirmed and confirmations is not None:
            await tell_unsubscribed(confirmations, store, queue, sequence)
        return done

    try:
        done = await call.router.run(call.project, call.body.queue_name, confirm)
    except NoQueue:
        done = None
    if done is None:
        raise _no_subscription(call)
    return 204, EmptyReply()


async def subscription_delete(call: Call) -> Answer:
    """End a subscription; nothing happens if there is none."""

    async def end(store: MessageStore, queue: Queue) -> None:
        sequence = _sequence(call, queue)
        if sequence is None:
            return
        found = None if call.node.trusts is None else await store.get_subscription(queue, sequence)
        await store.unsubscribe(queue, sequence)
        if found is not None:
            end_trust(call, found.options)

    with suppress(NoQueue):
        await call.router.run(call.project, call.body.queue_name, end)
    return 204, f"Subscription {call.body.subscription_id} removed."

"""How REST shows what the actions reply: with paths, links and locations (protocol.md section 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from gateway.http.rest.asked import Asked, Shown
from protocol.metadata import DEFAULTS, Metadata, with_defaults
from schemas import rest
from schemas.messages import MessageView

Show = Callable[[Asked, int, Any], Shown]
"""Makes an answer of a request's URL and what its action has returned."""

ABOUT_CLAIMS = frozenset(islice(DEFAULTS, 3, None))
"""What the metadata of a topic do not show unless they have it: a topic has no claims."""


def as_it_is(_: Asked, status: int, reply: Any) -> Shown:
    """The reply of the action."""
    return Shown(status, reply)


def nothing(_: Asked, status: int, __: Any) -> Shown:
    """The status alone."""
    return Shown(status)


def in_its_place(asked: Asked, status: int, _: Any) -> Shown:
    """The status, and where it is."""
    return Shown(status, location=asked.path)


def home(_: Asked, status: int, reply: Any) -> Shown:
    """The home document (draft-nottingham-json-home)."""
    return Shown(status, reply, kind="application/json-home")


def metadata(asked: Asked, status: int, reply: Metadata) -> Shown:
    """The metadata of a queue, with those that it does not have."""
    return Shown(status, _with_defaults(asked, reply))


def queues(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of queues. The action's own answer has the count where it was asked for."""
    page, count = reply
    shown = [
        rest.Queue(
            name=queue.name,
            href=f"{asked.path}/{queue.name}",
            metadata=UNSET if queue.metadata is UNSET else _with_defaults(asked, queue.metadata),
        )
        for queue in page.queues
    ]
    links, counted = asked.next_links(page.marker), UNSET if count is None else count
    if asked.of_topic:
        return Shown(status, rest.TopicPage(topics=shown, links=links, count=counted))
    return Shown(status, rest.QueuePage(queues=shown, links=links, count=counted))


def stats(asked: Asked, _: int, reply: Any) -> Shown:
    """Counts; those of a missing queue are zeros and no error."""
    counts = reply.messages
    shown = rest.Counts(
        claimed=counts.claimed,
        free=counts.free,
        total=counts.total,
        newest=_counted(asked, counts.newest),
        oldest=_counted(asked, counts.oldest),
    )
    return Shown(200, rest.Stats(messages=shown))


def posted(asked: Asked, status: int, reply: Any) -> Shown:
    """Where the new messages are."""
    resources = [f"{asked.path}/{message_id}" for message_id in reply.message_ids]
    location = f"{asked.path}?ids={','.join(reply.message_ids)}"
    return Shown(status, rest.Posted(resources=resources), location)


def messages(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of messages."""
    last = reply.messages[-1].id if reply.messages else None
    shown = _messages(asked, reply.messages)
    return Shown(status, rest.MessagePage(messages=shown, links=asked.next_links(last)))


def found(asked: Asked, status: int, reply: Any) -> Shown:
    """Messages that were asked for by their ids."""
    return Shown(status, rest.Messages(messages=_messages(asked, reply.messages)))


def message(asked: Asked, status: int, reply: Any) -> Shown:
    """One message."""
    return Shown(status, _message(asked, reply.messages))


def taken(asked: Asked, status: int, reply: Any) -> Shown:
    """The messages that were popped; nothing after a deletion by ids."""
    return Shown(status) if reply.messages is UNSET else found(asked, status, reply)


def claimed(asked: Asked, status: int, reply: Any) -> Shown:
    """The messages of a new claim, and where it is; nothing if there is none."""
    if status == 204:
        return Shown(status)
    shown = rest.Messages(messages=_messages(asked, reply.messages))
    return Shown(status, shown, f"{asked.path}/{reply.claim_id}")


def claim(asked: Asked, status: int, reply: Any) -> Shown:
    """A claim."""
    shown = _messages(asked, reply.messages)
    return Shown(status, rest.Claim(href=asked.path, age=reply.age, ttl=reply.ttl, messages=shown))


def subscribed(asked: Asked, status: int, reply: Any) -> Shown:
    """The new subscription, or why there is none."""
    if status == 409:
        refusal = rest.Refusal(title="Resource conflict", description=reply, code="conflict")
        return Shown(status, refusal, asked.path)
    told = rest.Subscribed(subscription_id=reply.subscription_id, signature_secret=reply.signature_secret)
    return Shown(status, told, asked.path)


def subscriptions(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of subscriptions."""
    links = asked.next_links(reply.marker)
    return Shown(status, rest.SubscriptionPage(subscriptions=reply.subscriptions, links=links))


def pool(asked: Asked, status: int, reply: Any) -> Shown:
    """A pool."""
    return Shown(status, rest.Pool(**_fields(reply), href=asked.path))


def pools(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of pools."""
    shown = [rest.Pool(**_fields(each), href=f"{asked.path}/{each.name}") for each in reply.pools]
    return Shown(status, rest.PoolPage(pools=shown, links=asked.next_links(reply.marker)))


def flavor(asked: Asked, status: int, reply: Any) -> Shown:
    """A flavor."""
    return Shown(status, rest.Flavor(**_fields(reply), href=asked.path))


def flavors(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of flavors."""
    shown = [rest.Flavor(**_fields(each), href=f"{asked.path}/{each.name}") for each in reply.flavors]
    return Shown(status, rest.FlavorPage(flavors=shown, links=asked.next_links(reply.marker)))


def _with_defaults(asked: Asked, given: Metadata) -> Metadata:
    shown = with_defaults(given)
    if asked.of_topic:
        return {key: value for key, value in shown.items() if key in given or key not in ABOUT_CLAIMS}
    return shown


def _messages(asked: Asked, views: Sequence[MessageView]) -> list[rest.Message]:
    return [_message(asked, view) for view in views]


def _message(asked: Asked, view: MessageView) -> rest.Message:
    """A message. Other than elsewhere it has no keys that Zaqar has not: python-zaqarclient fails on them."""
    return rest.Message(
        id=view.id,
        href=_href(asked, view),
        claim_id=view.claim_id,
        ttl=view.ttl,
        age=view.age,
        body=view.body,
        checksum=view.checksum,
        claim_count=view.claim_count,
    )


def _counted(asked: Asked, view: MessageView | UnsetType) -> rest.CountedMessage | UnsetType:
    """The newest or the oldest message of a queue, if there is one."""
    if view is UNSET:
        return UNSET
    assert view.created is not UNSET  # statistics show messages in full
    return rest.CountedMessage(**_fields(_message(asked, view)), created=view.created)


def _href(asked: Asked, view: MessageView) -> str:
    """The path of a message, with the claim that it is deleted with."""
    claimed_by = f"?claim_id={view.claim_id}" if view.claim_id else ""
    return f"{asked.queue_path}/messages/{view.id}{claimed_by}"


def _fields(shown: Struct) -> dict[str, Any]:
    return {name: value for name, value in asdict(shown).items() if value is not UNSET}

"""How REST shows what the actions reply: with paths, links and locations (protocol.md section 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import asdict

from gateway.http.rest.asked import Asked, Shown
from protocol.metadata import DEFAULTS, Metadata, with_defaults
from schemas.messages import MessageView

Show = Callable[[Asked, int, Any], Shown]
"""Makes an answer of a request's URL and what its action has returned."""

UNKNOWN_TO_CLIENTS = frozenset({"dead_letter", "created"})
"""What python-zaqarclient fails on in a message: other than elsewhere it takes no keys that Zaqar has not."""

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
    shown = []
    for queue in page.queues:
        item = {"name": queue.name, "href": f"{asked.path}/{queue.name}"}
        if queue.metadata is not UNSET:
            item["metadata"] = _with_defaults(asked, queue.metadata)
        shown.append(item)
    document = {asked.path.rpartition("/")[2]: shown, "links": asked.next_links(page.marker)}
    return Shown(status, document if count is None else document | {"count": count})


def stats(asked: Asked, _: int, reply: Any) -> Shown:
    """Counts; those of a missing queue are zeros and no error."""
    counts = _fields(reply.messages)
    for end in {"newest", "oldest"} & counts.keys():
        counts[end] = _message(asked, counts[end]) | {"created": counts[end].created}
    return Shown(200, {"messages": counts})


def posted(asked: Asked, status: int, reply: Any) -> Shown:
    """Where the new messages are."""
    resources = [f"{asked.path}/{message_id}" for message_id in reply.message_ids]
    return Shown(status, {"resources": resources}, f"{asked.path}?ids={','.join(reply.message_ids)}")


def messages(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of messages."""
    shown = _messages(asked, reply.messages)
    last = reply.messages[-1].id if reply.messages else None
    return Shown(status, {"messages": shown, "links": asked.next_links(last)})


def found(asked: Asked, status: int, reply: Any) -> Shown:
    """Messages that were asked for by their ids."""
    return Shown(status, {"messages": _messages(asked, reply.messages)})


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
    return Shown(status, {"messages": _messages(asked, reply.messages)}, f"{asked.path}/{reply.claim_id}")


def claim(asked: Asked, status: int, reply: Any) -> Shown:
    """A claim."""
    shown = _messages(asked, reply.messages)
    return Shown(status, {"href": asked.path, "age": reply.age, "ttl": reply.ttl, "messages": shown})


def subscribed(asked: Asked, status: int, reply: Any) -> Shown:
    """The new subscription, or why there is none."""
    if status == 409:
        told = {"title": "Resource conflict", "description": reply, "code": "conflict"}
        return Shown(status, told, asked.path)
    told = {"subscription_id": reply.subscription_id}
    if reply.signature_secret is not UNSET:
        told["signature_secret"] = reply.signature_secret
    return Shown(status, told, asked.path)


def subscriptions(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of subscriptions."""
    return Shown(status, {"subscriptions": reply.subscriptions, "links": asked.next_links(reply.marker)})


def named(asked: Asked, status: int, reply: Any) -> Shown:
    """A pool or a flavor."""
    return Shown(status, _fields(reply) | {"href": asked.path})


def pools_or_flavors(asked: Asked, status: int, reply: Any) -> Shown:
    """A page of either."""
    kind = asked.path.rpartition("/")[2]
    shown = [_fields(each) | {"href": f"{asked.path}/{each.name}"} for each in getattr(reply, kind)]
    return Shown(status, {kind: shown, "links": asked.next_links(reply.marker)})


def _with_defaults(asked: Asked, given: Metadata) -> Metadata:
    shown = with_defaults(given)
    if asked.of_topic:
        return {key: value for key, value in shown.items() if key in given or key not in ABOUT_CLAIMS}
    return shown


def _messages(asked: Asked, views: Sequence[MessageView]) -> list[dict[str, Any]]:
    return [_message(asked, view) for view in views]


def _message(asked: Asked, view: MessageView) -> dict[str, Any]:
    """A message with its path, which has the claim that it is deleted with."""
    claimed_by = f"?claim_id={view.claim_id}" if view.claim_id else ""
    shown = {name: value for name, value in _fields(view).items() if name not in UNKNOWN_TO_CLIENTS}
    return shown | {"href": f"{asked.queue_path}/messages/{view.id}{claimed_by}"}


def _fields(shown: Struct) -> dict[str, Any]:
    return {name: value for name, value in asdict(shown).items() if value is not UNSET}

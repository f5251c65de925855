"""What is wrong with a request whose types are right: the 400s that come after authentication."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from msgspec import UNSET

from protocol.errors import BadRequest
from protocol.incoming import Incoming
from protocol.names import check_name, check_project
from protocol.registry import Bound
from schemas.flavors import FlavorCreate
from schemas.messages import MessageDeleteMany
from schemas.pools import PoolUpdate
from schemas.queues import RESOURCE_TYPES, QueuePurge
from schemas.subscriptions import SubscriptionUpdate

_USUAL: Final = 64
"""Characters of a UUID in any usual form. Python also reads some of any length, which are not remembered."""


def check(incoming: Incoming) -> None:
    """Raise BadRequest if a request that was read without failure asks for what may not be asked."""
    action, headers, body = incoming.action, incoming.headers, incoming.body
    assert action is not None
    assert headers is not None
    check_project(headers.project_id)
    if action.needs_client_uuid:
        client_id(incoming)
    if action.new_name:
        check_name(getattr(body, action.new_name), action.new_name.removesuffix("_name"))
    check_bounds(action.bounds, body)
    further = _FURTHER.get(action.name)
    if further is not None:
        further(body)


def client_id(incoming: Incoming) -> bytes:
    """The 16 bytes of the Client-ID. Raises BadRequest if it is not a UUID in any form Python reads."""
    assert incoming.headers is not None
    text = str(incoming.headers.client_id)
    try:
        return _uuid_bytes(text) if len(text) <= _USUAL else uuid.UUID(text).bytes
    except ValueError:
        raise BadRequest("badly formed hexadecimal UUID string") from None


@lru_cache(maxsize=10_000)  # a client has one, and sends it with each request
def _uuid_bytes(text: str) -> bytes:
    return uuid.UUID(text).bytes


def check_bounds(bounds: Iterable[Bound], body: Any) -> None:
    """Raise BadRequest, which begins with the field's name, if a field of `body` is out of its range."""
    for bound in bounds:
        value = getattr(body, bound.field)
        if value is UNSET:
            continue
        amount = len(value) if bound.items else value
        if amount < bound.minimum or (bound.maximum is not None and amount > bound.maximum):
            raise BadRequest(f"{bound.field} must {_told(bound)}, not {_short(amount)}")


def _told(bound: Bound) -> str:
    if bound.items:
        return f"have from {bound.minimum} to {bound.maximum} items"
    if bound.maximum is None:
        return f"be at least {bound.minimum}"
    return f"be from {bound.minimum} to {bound.maximum}"


def _short(number: int) -> str:
    # Python refuses to write integers of more than 4,300 digits.
    return str(number) if abs(number) < 10**40 else "a number of over 40 digits"


def _check_delete_many(body: MessageDeleteMany) -> None:
    if (body.message_ids is UNSET) == (body.pop is UNSET):
        raise BadRequest("Give either message_ids or pop, and not both.")


def _check_purge(body: QueuePurge) -> None:
    if body.resource_types is UNSET:
        return
    for name in body.resource_types:
        if name not in RESOURCE_TYPES:
            raise BadRequest(f"resource_types are {' and '.join(RESOURCE_TYPES)}, not {name[:64]!r}.")


def _check_subscription_update(body: SubscriptionUpdate) -> None:
    if body.subscriber is UNSET and body.ttl is UNSET and body.options is UNSET:
        raise BadRequest("Give at least one of subscriber, ttl and options.")


def _check_pool_update(body: PoolUpdate) -> None:
    if body.uri is body.weight is body.flavor is body.options is UNSET:
        raise BadRequest("Give at least one of uri, weight, flavor and options.")


def _check_flavor_create(body: FlavorCreate) -> None:
    if body.pool_list is UNSET and body.pool_name is UNSET:
        raise BadRequest("Give pool_list, or pool_name for a flavor of one pool.")


_FURTHER: Final[Mapping[str, Callable[[Any], None]]] = MappingProxyType(
    {
        "message_delete_many": _check_delete_many,
        "queue_purge": _check_purge,
        "subscription_update": _check_subscription_update,
        "pool_update": _check_pool_update,
        "flavor_create": _check_flavor_create,
    }
)

"""Strategies for what hostile clients send, and what the gateway may answer."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from protocol.registry import PLAIN_ACTIONS
from tests.support.client import Reply
from tests.support.expect import UNKNOWN_ID

VALID_BODIES: dict[str, dict[str, Any]] = {
    "authenticate": {},
    "get_home_doc": {},
    "check_node_health": {},
    "ping_node": {},
    "queue_create": {"queue_name": "q", "metadata": {"_default_message_ttl": 60, "_retry_policy": {}}},
    "queue_get": {"queue_name": "q"},
    "queue_list": {"marker": "a", "limit": 10, "detailed": True},
    "queue_delete": {"queue_name": "q"},
    "queue_get_stats": {"queue_name": "q"},
    "queue_purge": {"queue_name": "q", "resource_types": ["messages"]},
    "queue_share": {
        **{"queue_name": "q", "paths": ["messages"], "methods": ["GET"]},
        "expires": "2035-01-01T00:00:00",
    },
    "queue_update": {"queue_name": "q", "patch": [{"op": "add", "path": "/metadata/a", "value": 1}]},
    "message_post": {"queue_name": "q", "messages": [{"ttl": 60, "delay": 0, "body": 1}]},
    "message_list": {
        **{"queue_name": "q", "marker": "1", "limit": 10},
        **{"echo": True, "include_claimed": True, "include_delayed": True},
    },
    "message_get": {"queue_name": "q", "message_id": UNKNOWN_ID},
    "message_get_many": {"queue_name": "q", "message_ids": [UNKNOWN_ID]},
    "message_delete": {"queue_name": "q", "message_id": UNKNOWN_ID, "claim_id": UNKNOWN_ID},
    "message_delete_many": {"queue_name": "q", "message_ids": [UNKNOWN_ID], "claim_ids": [UNKNOWN_ID]},
    "claim_create": {"queue_name": "q", "ttl": 60, "grace": 60, "limit": 1},
    "claim_get": {"queue_name": "q", "claim_id": UNKNOWN_ID},
    "claim_update": {"queue_name": "q", "claim_id": UNKNOWN_ID, "ttl": 60, "grace": 60},
    "claim_delete": {"queue_name": "q", "claim_id": UNKNOWN_ID},
    "claim_subscribe": {"queue_name": "q", "credit": 1, "ttl": 60, "grace": 60, "claim_id": UNKNOWN_ID},
    "claim_unsubscribe": {"queue_name": "q", "claim_id": UNKNOWN_ID},
    "message_release": {"queue_name": "q", "message_ids": [UNKNOWN_ID], "claim_id": UNKNOWN_ID},
    "subscription_create": {
        **{"queue_name": "q", "subscriber": "http://a.example/", "ttl": 60},
        "options": {"post_headers": {}, "_retry_policy": {}},
    },
    "subscription_list": {"queue_name": "q", "marker": "1", "limit": 10},
    "subscription_get": {"queue_name": "q", "subscription_id": UNKNOWN_ID},
    "subscription_update": {
        **{"queue_name": "q", "subscription_id": UNKNOWN_ID, "subscriber": "http://a.example/"},
        **{"ttl": 60, "options": {}},
    },
    "subscription_delete": {"queue_name": "q", "subscription_id": UNKNOWN_ID},
    "subscription_confirm": {"queue_name": "q", "subscription_id": UNKNOWN_ID, "confirmed": True},
    # Neither pools nor flavors are made: with them, other tests' queues would be placed otherwise.
    "pool_create": {
        **{"pool_name": "p", "uri": "unix:///nowhere/store.sock", "weight": 1},
        **{"flavor": "f", "options": {"a": 1}},
    },
    "pool_list": {"marker": "a", "limit": 10, "detailed": True},
    "pool_get": {"pool_name": "p"},
    "pool_update": {
        **{"pool_name": "p", "uri": "unix:///nowhere/store.sock", "weight": 1},
        **{"flavor": "f", "options": {"a": 1}},
    },
    "pool_delete": {"pool_name": "p"},
    "flavor_create": {"flavor_name": "f", "pool_list": ["p"], "pool_name": "p"},
    "flavor_list": {"marker": "a", "limit": 10, "detailed": True},
    "flavor_get": {"flavor_name": "f"},
    "flavor_update": {"flavor_name": "f", "pool_list": ["p"]},
    "flavor_delete": {"flavor_name": "f"},
}
"""For each action a body with all fields it knows, which is not refused for its form."""

assert VALID_BODIES.keys() == PLAIN_ACTIONS.keys()

integers = st.integers() | st.sampled_from([2**n + d for n in (31, 32, 53, 63, 64) for d in (-1, 0, 1)])

scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False) | st.text(max_size=20)

json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Anything that JSON has."""


def is_msgpack_integer(value: object) -> bool:
    """MessagePack has integers of 64 bits only."""
    return not isinstance(value, int) or -(2**63) <= value < 2**64


msgpack_values = st.recursive(
    scalars.filter(is_msgpack_integer) | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.binary(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Most of what MessagePack has."""


Path = tuple[Any, ...]
"""Keys and indexes, from the whole document to a value inside."""


def places(value: Any, path: Path = ()) -> list[Path]:
    """The path of every value inside, and of the whole."""
    found = [path]
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def with_value(document: Any, path: Path, value: Any) -> Any:
    """A copy of the document with another value at one place."""
    if not path:
        return value
    copied: Any = dict(document) if isinstance(document, dict) else list(document)
    copied[path[0]] = with_value(copied[path[0]], path[1:], value)
    return copied


def raw_json(**members: str) -> str:
    """A JSON object of members that are JSON, or nearly so."""
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}"


def refused(reply: Reply) -> None:
    """The only answer to what is no request: a 4xx that says why, in the form of an answer."""
    assert 400 <= reply.status < 500, reply.document
    answered(reply)


def answered(reply: Reply) -> None:
    """Any answer but a fault of the gateway."""
    assert 200 <= reply.status < 500, reply.document
    assert reply.document.keys() == {"request", "body", "headers"}
    assert reply.request.keys() == {"action", "body", "headers", "api"}
    assert "Traceback" not in str(reply.body)

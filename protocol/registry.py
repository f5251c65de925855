"""The actions that exist, and what is checked about each. Derived from `schemas` once at import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.inspect import Metadata, StructType, type_info

from schemas.actions import SHAPES, Shape
from schemas.envelope import AuthenticateHeaders, RequestHeaders


class Bound(NamedTuple):
    """From how much to how much a field may be: an integer's value, or the number of items in a list."""

    field: str
    minimum: int
    maximum: int | None
    items: bool


@dataclass(frozen=True, slots=True)
class Action:
    """One action of the protocol."""

    name: str
    request: type[Struct]
    """The type of its body."""
    reply: Any
    """The type of its reply's body."""
    headers: type[RequestHeaders] | type[AuthenticateHeaders]
    body_required: bool
    """Whether the body may not be left out (protocol.md section 1)."""
    admin: bool
    """Whether the role admin is needed where roles are known (protocol.md section 8)."""
    needs_client_uuid: bool
    """Whether Client-ID has to be a UUID (protocol.md section 1)."""
    new_name: str
    """The field with the name of what may be created, so that it has to be a legal one; empty: none."""
    secrets: frozenset[str]
    """The fields of the body that replies do not repeat."""
    bounds: tuple[Bound, ...]
    """The ranges of its fields."""


_BODY_OPTIONAL: Final = frozenset(
    {
        *("authenticate", "get_home_doc", "check_node_health", "ping_node", "describe"),
        *("queue_list", "pool_list", "flavor_list"),
    }
)
_ADMIN: Final = frozenset(
    {
        "check_node_health",
        *("pool_create", "pool_list", "pool_get", "pool_update", "pool_delete"),
        *("flavor_create", "flavor_list", "flavor_get", "flavor_update", "flavor_delete"),
    }
)
_EXTENDED: Final = frozenset({"describe"})
"""Actions of protocol.extension: elsewhere there is none of the name."""

_CLIENT_UUID: Final = frozenset({"message_post", "message_list"})


def annotated_fields(shape: type[Struct]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of a type that have JSON Schema annotations, with them."""
    described = type_info(shape)
    assert isinstance(described, StructType)
    for field in described.fields:
        if isinstance(field.type, Metadata) and field.type.extra_json_schema:
            yield field.encode_name, field.type.extra_json_schema


def bounds(shape: type[Struct]) -> tuple[Bound, ...]:
    """The ranges of a type's fields."""
    found = []
    for field, schema in annotated_fields(shape):
        if "minimum" in schema:
            found.append(Bound(field, schema["minimum"], schema.get("maximum"), items=False))
        elif "minItems" in schema:
            found.append(Bound(field, schema["minItems"], schema["maxItems"], items=True))
    return tuple(found)


def _action(name: str, shape: Shape) -> Action:
    annotations = dict(annotated_fields(shape.request))
    return Action(
        name=name,
        request=shape.request,
        reply=shape.reply,
        headers=shape.headers,
        body_required=name not in _BODY_OPTIONAL,
        admin=name in _ADMIN,
        needs_client_uuid=name in _CLIENT_UUID,
        new_name=next((field for field, schema in annotations.items() if "pattern" in schema), ""),
        secrets=frozenset(field for field, schema in annotations.items() if schema.get("writeOnly")),
        bounds=bounds(shape.request),
    )


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {name: _action(name, shape) for name, shape in SHAPES.items()}
)

PLAIN_ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {name: action for name, action in ACTIONS.items() if name not in _EXTENDED}
)
"""Those of a socket without protocol.extension: Zaqar's."""

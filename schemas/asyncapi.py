"""The protocol as an AsyncAPI 3.0 document, made of the same types as everything else.

Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.actions import SHAPES
from schemas.envelope import ErrorReply
from schemas.events import EVENTS, ExtendedNotification, Notification
from schemas.messages import MessagePost, NewMessage

_CHANNEL: Final = {"$ref": "#/channels/socket"}
_REFS: Final = "#/components/schemas/{name}"

_ID: Final = {
    "description": "With the subprotocol: what the client calls the request. The reply has the same.",
    "type": ["string", "integer"],
}

ALSO: Final[dict[Any, tuple[Any, ...]]] = {MessagePost: (NewMessage,)}
"""Types that stand in another without msgspec's knowing: the messages of a post are decoded one by one.

The other refers to them as a document of its own does: `#/$defs/`.
"""

ABOUT: Final = (
    "OpenStack Zaqar's v2 protocol over one WebSocket: durable queues, leased work and live push. Each text "
    "frame holds one JSON object; each binary frame the same in MessagePack, and is answered in MessagePack. "
    "Requests of one socket are answered in their order. What speaks of the subprotocol needs "
    "`Sec-WebSocket-Protocol: zaqar-gateway.v1`."
)

VERSION: Final = "2.0.0"
"""Of the protocol, not of the gateway."""


def document() -> dict[str, Any]:
    """The whole document."""
    events = dict(_events())
    shapes: list[Any] = [ErrorReply, *events.values()]
    for shape in SHAPES.values():
        shapes += [shape.request, shape.reply, shape.headers]
    shapes += [also for each in ALSO.values() for also in each]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REFS)
    by_shape = {id(shape): schema for shape, schema in zip(shapes, schemas, strict=True)}

    messages = {"error": _error(by_shape[id(ErrorReply)])}
    operations = {}
    for action, shape in SHAPES.items():
        request, reply = by_shape[id(shape.request)], by_shape[id(shape.reply)]
        about = (shape.request.__doc__ or "").strip()
        messages[f"{action}.request"] = _request(action, about, by_shape[id(shape.headers)], request)
        messages[f"{action}.reply"] = _reply(action, reply)
        operations[action] = {
            "action": "receive",
            "channel": _CHANNEL,
            "summary": about,
            "messages": [_of_channel(f"{action}.request")],
            "reply": {
                "channel": _CHANNEL,
                "messages": [_of_channel(f"{action}.reply"), _of_channel("error")],
            },
        }
    for name, event in events.items():
        messages[name] = {
            "name": name,
            "summary": (event.__doc__ or "").strip(),
            "payload": by_shape[id(event)],
        }
        operations[name] = {
            "action": "send",
            "channel": _CHANNEL,
            "summary": (event.__doc__ or "").strip(),
            "messages": [_of_channel(name)],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "zaqar-gateway",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "pathname": "/",
                "protocol": "ws",
                "variables": {"host": {"default": "localhost:9000", "description": "Host and port."}},
            }
        },
        "channels": {
            "socket": {
                "address": "/",
                "title": "The WebSocket",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": referring_here(components)},
    }


def referring_here(schema: Any) -> Any:
    """A schema whose references into a document of its own lead to the components of this one."""
    if isinstance(schema, list):
        return [referring_here(each) for each in schema]
    if isinstance(schema, dict):
        return {key: referring_here(each) for key, each in schema.items()}
    if isinstance(schema, str) and schema.startswith("#/$defs/"):
        return _REFS.format(name=schema.removeprefix("#/$defs/"))
    return schema


def _events() -> Iterator[tuple[str, Any]]:
    yield "notification", Notification
    yield "extended_notification", ExtendedNotification
    for event in EVENTS:
        yield f"event.{event.__struct_defaults__[0]}", event


def _of_channel(message: str) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{message}"}


def _request(action: str, about: str, headers: Any, body: Any) -> dict[str, Any]:
    return {
        "name": action,
        "title": f"{action}, request",
        "summary": about,
        "correlationId": {"location": "$message.payload#/id"},
        "payload": {
            "type": "object",
            "required": ["action", "headers"],
            "properties": {
                "action": {"const": action},
                "headers": headers,
                "body": body,
                "id": _ID,
                "echo": {
                    "description": "With the subprotocol: false leaves `request` out of the reply.",
                    "type": "boolean",
                    "default": True,
                },
            },
        },
    }


def _reply(action: str, body: Any) -> dict[str, Any]:
    return {
        "name": f"{action}.reply",
        "title": f"{action}, reply",
        "correlationId": {"location": "$message.payload#/id"},
        "payload": _around(body, {"minimum": 200, "maximum": 299}),
    }


def _error(body: Any) -> dict[str, Any]:
    return {
        "name": "error",
        "title": "A request that was refused",
        "correlationId": {"location": "$message.payload#/id"},
        "payload": _around(body, {"minimum": 400, "maximum": 599}),
    }


def _around(body: Any, statuses: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["body", "headers"],
        "properties": {
            "id": _ID,
            "request": {
                "description": "The request as it was understood, without secrets.",
                "type": "object",
            },
            "body": body,
            "headers": {
                "type": "object",
                "required": ["status"],
                "properties": {"status": {"type": "integer", **statuses}},
            },
        },
    }

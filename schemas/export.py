"""Writes the JSON Schema files and the AsyncAPI document beside the types: `python -m schemas.export`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas import asyncapi
from schemas.actions import SHAPES
from schemas.envelope import ErrorReply
from schemas.events import EVENTS, ExtendedNotification, Notification

FOLDER: Final = Path(__file__).parent / "json"


def schema(name: str, title: str, shape: Any) -> dict[str, Any]:
    """The JSON Schema 2020-12 document of one type, whole in itself."""
    (root,), definitions = msgspec.json.schema_components((shape,), ref_template="#/$defs/{name}")
    for also in asyncapi.ALSO.get(shape, ()):
        definitions |= msgspec.json.schema_components((also,), ref_template="#/$defs/{name}")[1]
    if set(root) == {"$ref"}:
        root = definitions.pop(root["$ref"].rpartition("/")[2])
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:zaqar-gateway:{name}",
        **root,
        "title": title,
        "description": root.get("description", f"{title}."),
    }
    return document | {"$defs": definitions} if definitions else document


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with the name of its file."""
    for action, shape in SHAPES.items():
        yield f"{action}.request.json", schema(f"{action}.request", f"Body of {action}", shape.request)
        yield f"{action}.reply.json", schema(f"{action}.reply", f"Reply of {action}", shape.reply)
    yield "event.notification.json", schema("event.notification", "Notification", Notification)
    name = "event.extended_notification"
    yield f"{name}.json", schema(name, "Notification on an extended socket", ExtendedNotification)
    for event in EVENTS:
        name = f"event.{event.__struct_defaults__[0]}"
        yield f"{name}.json", schema(name, f"Event {event.__struct_defaults__[0]}", event)
    yield "error.json", schema("error", "Error", ErrorReply)


def texts() -> dict[str, str]:
    """Every file by its name."""
    found = {name: render(document) for name, document in documents()}
    return found | {"asyncapi.json": render(asyncapi.document())}


def render(document: dict[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files, and remove those that no type stands behind any more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = texts()
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

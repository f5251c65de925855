"""Writes the JSON Schema files beside the types: `python -m schemas.export`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.actions import SHAPES
from schemas.envelope import ErrorReply
from schemas.events import ClaimEnded, ClaimEvent, Notification
from schemas.messages import MessagePost, NewMessage

FOLDER: Final = Path(__file__).parent / "json"

# The messages of a post are decoded one by one, so msgspec does not see their type there.
_ALSO: Final[dict[Any, tuple[Any, ...]]] = {MessagePost: (NewMessage,)}


def schema(name: str, title: str, shape: Any) -> dict[str, Any]:
    """The JSON Schema 2020-12 document of one type, whole in itself."""
    (root,), definitions = msgspec.json.schema_components((shape,), ref_template="#/$defs/{name}")
    for also in _ALSO.get(shape, ()):
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
    yield "event.claim.json", schema("event.claim", "Claim", ClaimEvent)
    yield "event.claim_ended.json", schema("event.claim_ended", "Claim ended", ClaimEnded)
    yield "error.json", schema("error", "Error", ErrorReply)


def render(document: dict[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files, and remove those that no type stands behind any more."""
    FOLDER.mkdir(exist_ok=True)
    texts = {name: render(document) for name, document in documents()}
    for path in FOLDER.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

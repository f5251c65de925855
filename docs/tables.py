"""Markdown tables and examples, from the types in `schemas` and the recorded conversations."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from docs.conversation import FOLDER as EXAMPLES
from docs.conversation import Conversation
from schemas.actions import SHAPES
from schemas.export import schema

TEMPLATES = Path(__file__).parent / "templates"

LINKS = {
    "MessageView": "[message](#a-message)",
    "SubscriptionView": "[subscription](#a-subscription)",
}
"""Types that have a table of their own in the template, and what stands for them elsewhere."""

WIDTH = 110


@cache
def meanings() -> Mapping[str, Mapping[str, Any]]:
    """What each field means, by type and name; `any` holds those that mean the same everywhere."""
    return tomllib.loads((TEMPLATES / "fields.toml").read_text(encoding="utf-8"))


def meaning(shape: str, field: str) -> Mapping[str, str]:
    """`text`, and `otherwise` where an action has a default that the schema does not tell."""
    found = meanings().get(shape, {}).get(field) or meanings()["any"].get(field)
    if found is None:
        raise KeyError(f"fields.toml does not say what {shape}.{field} means")
    return {"text": found} if isinstance(found, str) else found


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def action(name: str) -> str:
    """What an action does, what it takes and what it answers."""
    shape = SHAPES[name]
    request = schema(name, name, shape.request)
    parts = [request["description"], "", *_object(shape.request.__name__, request, request=True)]
    if not request.get("properties"):
        parts.append("The body is empty, or left out.")
    reply = schema(name, name, shape.reply)
    parts += ["", *_reply(getattr(shape.reply, "__name__", ""), reply)]
    return "\n".join(parts)


def shown(shape: type[Any]) -> str:
    """The table of a type that is shown once and linked to."""
    return "\n".join(_object(shape.__name__, schema(shape.__name__, "", shape), request=False))


def _reply(shape: str, document: dict[str, Any]) -> list[str]:
    if "anyOf" in document:
        (shape,) = (told["$ref"].rpartition("/")[2] for told in document["anyOf"] if "$ref" in told)
        document = document["$defs"][shape] | {"$defs": document["$defs"]}
    if shape in LINKS:
        return [f"Answers a {LINKS[shape]}."]
    if document.get("type") == "string":
        return ["Answers a text."]
    if "properties" not in document:
        return ["Answers an object of the queue's metadata."]
    if not document["properties"]:
        return ["Answers an empty object."]
    return ["Answers:", "", *_object(shape, document, request=False)]


def _object(shape: str, document: dict[str, Any], *, request: bool) -> list[str]:
    """The table of an object's fields, then those of the objects in it."""
    properties = document.get("properties", {})
    if not properties:
        return []
    required = document.get("required", [])
    rows = []
    for field, described in properties.items():
        known = meaning(shape, field)
        needed = field in required or ("default" in described and not request)
        if request:
            default = known.get("otherwise", described.get("default", ""))
            third = "required" if needed else _code(default)
        else:
            third = "always" if needed else known.get("otherwise", "")
        rows.append((f"`{field}`", _type(described), third, known["text"]))
    lines = table(("Field", "Type", "If left out" if request else "There", "Meaning"), rows).split("\n")
    for name in _parts(properties):
        if name not in LINKS:
            part = document["$defs"][name]
            lines += [
                "",
                f"{part['description']}",
                "",
                *_object(name, part | {"$defs": document["$defs"]}, request=request),
            ]
    return lines


def _parts(value: Any) -> list[str]:
    """The types that a schema refers to."""
    if isinstance(value, dict):
        found = [value["$ref"].rpartition("/")[2]] if "$ref" in value else []
        return found + [name for item in value.values() for name in _parts(item)]
    if isinstance(value, list):
        return [name for item in value for name in _parts(item)]
    return []


def _code(value: Any) -> str:
    """A default: a value as code, words as they are."""
    return value if isinstance(value, str) else f"`{json.dumps(value)}`"


def _type(described: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        return LINKS.get(name, "object, see below")
    if "anyOf" in described:
        return " or ".join(_type(one) for one in described["anyOf"])
    if "enum" in described:
        return " or ".join(f"`{value}`" for value in described["enum"])
    kind = described.get("type", "any value")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {_type(described['items'])}{_size(described, 'items', 'minItems', 'maxItems')}"
    if kind == "string" and "pattern" in described:
        return f"string `{described['pattern']}`{_size(described, 'characters', 'minLength', 'maxLength')}"
    if kind == "integer" and "minimum" in described:
        most = described.get("maximum")
        return (
            f"integer, at least {described['minimum']}"
            if most is None
            else f"integer, {described['minimum']} to {most}"
        )
    return str(kind)


def _size(described: dict[str, Any], unit: str, least: str, most: str) -> str:
    return f", {described[least]} to {described[most]} {unit}" if most in described else ""


def example(reference: str) -> str:
    """A recorded step, `file/name`, without what is the same in every request and reply."""
    step = _step(reference)
    send, reply = step["send"], step["reply"]
    if isinstance(send, dict):
        send = {key: value for key, value in send.items() if key != "headers"}
    reply = {"headers": reply["headers"], "body": reply["body"]}
    return _frames(send, reply, step.get("notifications", []))


def whole_example(reference: str) -> str:
    """A recorded step, `file/name`, with everything."""
    step = _step(reference)
    return _frames(step["send"], step["reply"], step.get("notifications", []))


def _step(reference: str) -> dict[str, Any]:
    file, _, name = reference.partition("/")
    return Conversation(EXAMPLES / f"{file}.json").step(name)


def _frames(send: Any, reply: Any, notifications: list[Any]) -> str:
    frames = [
        "> " + _indented(send),
        "< " + _indented(reply),
        *("< " + _indented(one) for one in notifications),
    ]
    return "```text\n" + "\n".join(frames) + "\n```"


def _indented(value: Any) -> str:
    text = value if isinstance(value, str) else pretty(value)
    return text.replace("\n", "\n  ")


def pretty(value: Any, indent: int = 2, before: int = 0) -> str:
    """JSON on as few lines as fit. `indent` and `before` say how much of its first line is taken."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + before + len(line) < WIDTH or not isinstance(value, dict | list) or not value:
        return line
    if isinstance(value, dict):
        items = [
            f"{json.dumps(key)}: {pretty(item, indent + 2, len(key) + 4)}" for key, item in value.items()
        ]
    else:
        items = [pretty(item, indent + 2) for item in value]
    inner = ",\n".join(items).replace("\n", "\n  ")
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n  {inner}\n{closing}"

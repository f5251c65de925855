"""Frames: JSON in text, MessagePack in binary (docs/protocol.md, Frames)."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import msgpack

Form = Literal["json", "msgpack"]
"""How requests are written. Answers and notifications come in the same form."""


class FrameError(ValueError):
    """The server sent what is no object in the form of its frame."""


def encode(document: dict[str, Any], form: Form) -> str | bytes:
    """A frame. Binary values are written in JSON as `{"$binary": "<base64>"}`.

    Raises `ValueError` or `TypeError` for what the form cannot tell, such as NaN or a set.
    """
    if form == "msgpack":
        packed: bytes = msgpack.packb(document, use_bin_type=True)
        return packed
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_binary)


def decode(frame: str | bytes) -> dict[str, Any]:
    """What a frame holds. Raises `FrameError` unless it is an object."""
    try:
        if isinstance(frame, str):
            document = json.loads(frame, object_hook=_from_binary)
        else:
            document = msgpack.unpackb(frame, raw=False, strict_map_key=False)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the server sent a frame that cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise FrameError("the server sent a frame that is no object")
    return document


def _binary(value: Any) -> dict[str, str]:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$binary": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"{type(value).__name__} cannot be told in JSON")


def _from_binary(found: dict[str, Any]) -> Any:
    text = found.get("$binary")
    if len(found) == 1 and isinstance(text, str):
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return found
    return found

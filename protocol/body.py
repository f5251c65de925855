"""Message bodies: kept as the bytes that were posted, told in the form that is asked for."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from protocol.codec import Form

__all__ = ["BINARY_KEY", "Body", "Form", "checksum", "show_checksum"]

BINARY_KEY: Final = "$binary"
"""A text client tells binary data as `{"$binary": "<base64>"}` (docs/compatibility.md, 11)."""

_BINARY_MARKS: Final = (b"\xc4", b"\xc5", b"\xc6")


class Body(Struct, frozen=True, gc=False):
    """A value in one form. It has passed `Codec.check` of that form."""

    form: Form
    data: bytes

    def told_in(self, form: Form) -> Raw:
        """The value in `form`: the same bytes, or told anew if it was posted in the other form."""
        if form is self.form:
            return Raw(self.data)
        if form is Form.MSGPACK:
            return Raw(_in_msgpack(self.data))
        return Raw(_in_json(self.data))

    def value(self) -> Any:
        """The value as a text client would read it."""
        return msgspec.json.decode(self.told_in(Form.JSON))


def _in_msgpack(data: bytes) -> bytes:
    value = msgspec.json.decode(data)
    # The key may be written with escapes.
    if BINARY_KEY.encode() in data or b"\\" in data:
        value = _read_binary(value)
    return msgspec.msgpack.encode(value)


def _in_json(data: bytes) -> bytes:
    value = msgspec.msgpack.decode(data)
    if any(mark in data for mark in _BINARY_MARKS):
        value = _show_binary(value)
    return msgspec.json.encode(value)


def _read_binary(value: Any) -> Any:
    if isinstance(value, list):
        return [_read_binary(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {BINARY_KEY}:
        data = _from_base64(value[BINARY_KEY])
        if data is not None:
            return data
    return {key: _read_binary(item) for key, item in value.items()}


def _show_binary(value: Any) -> Any:
    if isinstance(value, bytes):
        return {BINARY_KEY: base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_show_binary(item) for item in value]
    if isinstance(value, dict):
        return {key: _show_binary(item) for key, item in value.items()}
    return value


def _from_base64(text: object) -> bytes | None:
    """The bytes of RFC 4648 section 4 text, or None. Only what encodes back to the same text counts."""
    if not isinstance(text, str):
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


def checksum(body: Body) -> bytes | None:
    """The MD5 digest (16 bytes) of the body as Python's json.dumps writes it; None for a null body.

    From protocol.md section 5. It tells a changed body from an unchanged one and protects from nobody.
    """
    value = body.value()
    if value is None:
        return None
    return hashlib.md5(json.dumps(value).encode(), usedforsecurity=False).digest()


def show_checksum(digest: bytes) -> str:
    """A digest as clients see it."""
    return f"MD5:{digest.hex()}"

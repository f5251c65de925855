"""The two forms of the protocol: JSON in text frames, MessagePack in binary frames."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Raw

from protocol.errors import BadRequest, SchemaViolation
from protocol.tellable import (
    TOO_DEEP,
    count_json_parts,
    find_msgpack_flaw,
    json_nests_deeper,
    msgpack_nests_deeper,
    read_json,
    read_msgpack,
)
from schemas import limits

Value = TypeVar("Value")


class Form(enum.Enum):
    """How a frame or a body is written."""

    __hash__ = object.__hash__  # an enum's own goes by the name, which takes longer than the look-up

    JSON = "text (JSON)"
    MSGPACK = "binary (MessagePack)"


class Codec(Protocol):
    """Reads and writes one form."""

    form: Form
    empty_object: Raw

    def encode(self, document: object) -> bytes:
        """`document` (dicts, lists, Structs; Raw is put in as it is) in this form."""

    def decode(self, raw: bytes | Raw, shape: type[Value]) -> Value:
        """The value of `raw` as a `shape`. Raises SchemaViolation, which says where and what."""

    def prove(self, frame: bytes) -> None:
        """Raise ValueError where what `decode` would skip over is malformed."""

    def check(self, raw: bytes) -> None:
        """Raise BadRequest where the value cannot be told in both forms (protocol.md, "Bodies")."""


class _Decoders(dict[Any, Any]):
    """One decoder per type, made when first used. The types are those of `schemas`, so it is bounded."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, shape: Any) -> Any:
        decoder = self[shape] = self._make(shape)
        return decoder


class _Json:
    form: Form = Form.JSON
    empty_object: Raw = Raw(b"{}")

    def __init__(self) -> None:
        self.encode = msgspec.json.Encoder().encode
        self._decoders = _Decoders(msgspec.json.Decoder)
        self._value = msgspec.json.Decoder().decode
        self._in_msgpack = msgspec.msgpack.Encoder().encode

    def decode(self, raw: bytes | Raw, shape: type[Value]) -> Value:
        try:
            return self._decoders[shape].decode(raw)  # type: ignore[no-any-return]  # by shape
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise SchemaViolation(str(error)) from None

    def prove(self, frame: bytes) -> None:
        count_json_parts(frame)
        # msgspec skips over strings without looking whether they are UTF-8.
        if not frame.isascii():
            frame.decode()

    def check(self, raw: bytes) -> None:
        try:
            value = self._value(raw)
            # Integers beyond 64 bits show here.
            self._in_msgpack(value)
        except RecursionError:
            raise BadRequest(TOO_DEEP) from None
        except (msgspec.DecodeError, ValueError, OverflowError) as error:
            raise BadRequest(_why_not(raw) or str(error)) from None
        if json_nests_deeper(raw, value, limits.NESTING_MAX):
            raise BadRequest(TOO_DEEP)


def _why_not(raw: bytes) -> str | None:
    """Why msgspec refuses a JSON value, found out at leisure."""
    try:
        return read_json(raw.decode())[1]
    except ValueError as error:
        return f"the value is not JSON: {error}"
    except RecursionError:
        return TOO_DEEP


class _MessagePack:
    form: Form = Form.MSGPACK
    empty_object: Raw = Raw(b"\x80")

    def __init__(self) -> None:
        self.encode = msgspec.msgpack.Encoder().encode
        self._decoders = _Decoders(msgspec.msgpack.Decoder)

    def decode(self, raw: bytes | Raw, shape: type[Value]) -> Value:
        try:
            return self._decoders[shape].decode(raw)  # type: ignore[no-any-return]  # by shape
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise SchemaViolation(str(error)) from None

    def prove(self, frame: bytes) -> None:
        read_msgpack(frame)

    def check(self, raw: bytes) -> None:
        try:
            value = read_msgpack(raw)
        except ValueError as error:
            raise BadRequest(f"the value is not MessagePack: {type(error).__name__} {error}") from None
        flaw = find_msgpack_flaw(raw, value)
        if flaw is not None:
            raise BadRequest(flaw)
        if msgpack_nests_deeper(raw, value, limits.NESTING_MAX):
            raise BadRequest(TOO_DEEP)


CODECS: Final[Mapping[Form, Codec]] = MappingProxyType({Form.JSON: _Json(), Form.MSGPACK: _MessagePack()})

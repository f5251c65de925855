"""What keeps a value from being told in both JSON and MessagePack (protocol.md, "Bodies").

Everything here is linear in the size of the data. What can be left to compiled code is, because a frame
may hold a million values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from typing import Any, Final, NoReturn

import msgpack
import msgspec

from schemas import limits

# Longer ones are beyond 64 bits, and Python refuses to read those of more than 4,300 digits.
_DIGITS_MAX: Final = 40

# First bytes (MessagePack specification, "Formats"). Inside strings and numbers they mean nothing, so
# finding one only says that a closer look is needed.
_FLOATS_BINARIES_EXTENSIONS: Final = bytes([*range(0xC4, 0xCC), *range(0xD4, 0xD9)])
_CONTAINERS: Final = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_PARTS: Final = _CONTAINERS + bytes([*range(0xC7, 0xCA), *range(0xD4, 0xD9)])

# One that is not closed goes to the end, or each of its quotes would be tried as a beginning.
_JSON_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)

_FINE: Final = frozenset({bool, bytes, int, str, type(None)})
"""Types of values that MessagePack has, have no members, and can be told in JSON whatever they are."""

SURROGATE: Final = "text holds half of a surrogate pair; send whole Unicode characters"
NOT_FINITE: Final = "a number is too large or not finite; send finite numbers only"
NOT_64_BITS: Final = "an integer is beyond 64 bits; send it as a string"
NOT_A_TEXT_KEY: Final = "a key of an object is not a string; send strings as keys"
EXTENSION: Final = "MessagePack extension types are not supported; send plain values"
TOO_DEEP: Final = f"arrays and objects are nested over {limits.NESTING_MAX} deep; flatten the value"


class TooMany(ValueError):
    """A document holds more than limits.FRAME_PARTS arrays, objects and extension values."""

    def __init__(self) -> None:
        super().__init__(f"over {limits.FRAME_PARTS} arrays and objects in one frame; send less at once")


def count_json_parts(data: bytes) -> None:
    """Raise TooMany if JSON has too many parts. To be called before it is read, whether it is JSON or not."""
    if len(data) <= limits.FRAME_PARTS or _json_parts(data) <= limits.FRAME_PARTS:
        return
    # Brackets in strings are none.
    if _json_parts(_JSON_STRING.sub(b"", data)) > limits.FRAME_PARTS:
        raise TooMany


def _json_parts(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def read_json(text: str) -> tuple[Any, str | None]:
    """The value of `text`, and why it cannot be told in both forms, or None.

    Numbers that cannot be kept stand in the value as strings. Raises ValueError where `text` is not JSON
    (RFC 8259: NaN and Infinity are not), RecursionError where it is nested deeper than Python can follow.
    """
    reader = _JsonReader()
    value = reader.read(text)
    return value, reader.flaw or _find_json_flaw(value)


class _JsonReader:
    """Reads JSON with the standard library, which reads more than may be told in both forms."""

    def __init__(self) -> None:
        self.flaw: str | None = None

    def read(self, text: str) -> Any:
        try:
            return self._read(text, int)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # Python does not read the longest integers; a call per integer is for this case only.
            return self._read(text, self._integer)

    def _read(self, text: str, integer: Any) -> Any:
        return json.loads(text, parse_int=integer, parse_float=self._number, parse_constant=self._constant)

    def _integer(self, digits: str) -> int | str:
        if len(digits) > _DIGITS_MAX:
            self.flaw = NOT_64_BITS
            return digits
        return int(digits)

    def _number(self, digits: str) -> float | str:
        number = float(digits)
        if math.isinf(number):
            self.flaw = NOT_FINITE
            return digits
        return number

    def _constant(self, name: str) -> NoReturn:
        raise ValueError(f"{name} is not a JSON value")


def _find_json_flaw(value: Any) -> str | None:
    try:
        msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return SURROGATE
    except OverflowError:
        return NOT_64_BITS
    return None


def read_msgpack(data: bytes) -> Any:
    """The value of `data`. Raises ValueError, of which msgpack has several kinds, where it is none.

    One of them is TooMany: then it was read up to there, and no further.
    """
    if len(data) <= limits.FRAME_PARTS or _found(_PARTS, data) <= limits.FRAME_PARTS:
        return msgpack.unpackb(data, raw=False, strict_map_key=True)
    left = limits.FRAME_PARTS

    def count(part: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooMany
        return part

    return msgpack.unpackb(
        data,
        raw=False,
        strict_map_key=True,
        object_hook=count,
        list_hook=count,
        ext_hook=lambda code, value: count(msgpack.ExtType(code, value)),
    )


def _found(marks: bytes, data: bytes) -> int:
    """How many bytes of `data` are one of `marks`."""
    return len(data) - len(data.translate(None, marks))


def find_msgpack_flaw(data: bytes, value: object) -> str | None:
    """Why `value`, which was read from `data`, cannot be told in both forms, or None."""
    if not _found(_FLOATS_BINARIES_EXTENSIONS, data):
        return None
    waiting = [value]
    while waiting:
        flaw = _look_at(waiting.pop(), waiting)
        if flaw is not None:
            return flaw
    return None


def _look_at(item: object, waiting: list[object]) -> str | None:
    """The flaw of one value without its members, which are added to `waiting`."""
    if isinstance(item, dict):
        _await_members(item.values(), waiting)
        return None if all(isinstance(key, str) for key in item) else NOT_A_TEXT_KEY
    if isinstance(item, list):
        _await_members(item, waiting)
        return None
    if isinstance(item, float):
        return None if math.isfinite(item) else NOT_FINITE
    return None if item is None or isinstance(item, str | int | bytes) else EXTENSION


def _await_members(members: Collection[object], waiting: list[object]) -> None:
    if not _FINE.issuperset(map(type, members)):
        waiting.extend(member for member in members if type(member) not in _FINE)


def json_nests_deeper(data: bytes, value: object, nesting: int) -> bool:
    """Whether more than `nesting` arrays and objects stand inside each other in a value and its JSON."""
    return (
        isinstance(value, (list, dict))  # most are strings; a union of types would be made anew
        and data.count(b"[") + data.count(b"{") > nesting
        and _nests_deeper(value, nesting)
    )


def msgpack_nests_deeper(data: bytes, value: object, nesting: int) -> bool:
    """The same for a value and its MessagePack."""
    return _found(_CONTAINERS, data) > nesting and _nests_deeper(value, nesting)


def _nests_deeper(value: object, nesting: int) -> bool:
    level = [value] if isinstance(value, list | dict) else []
    for _ in range(nesting):
        if not level:
            return False
        level = [
            member
            for container in level
            for member in (container.values() if isinstance(container, dict) else container)
            if isinstance(member, list | dict)
        ]
    return bool(level)

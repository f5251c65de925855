"""What keeps a value from being told in both JSON and MessagePack (protocol.md, "Bodies")."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import msgpack

from schemas import limits

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# Longer ones are beyond 64 bits, and Python refuses to read those of more than 4,300 digits.
_DIGITS_MAX: Final = 40

SURROGATE: Final = "text holds half of a surrogate pair; send whole Unicode characters"
NOT_FINITE: Final = "a number is too large or not finite; send finite numbers only"
NOT_64_BITS: Final = "an integer is beyond 64 bits; send it as a string"
NOT_A_TEXT_KEY: Final = "a key of an object is not a string; send strings as keys"
EXTENSION: Final = "MessagePack extension types are not supported; send plain values"
TOO_DEEP: Final = f"arrays and objects are nested over {limits.NESTING_MAX} deep; flatten the value"


class JsonReader:
    """Reads JSON with the standard library, which reads more than may be told in both forms."""

    def __init__(self) -> None:
        self.flaw: str | None = None
        """What was found in the numbers."""

    def read(self, text: str) -> Any:
        """The value of `text`. Numbers that cannot be kept stand in it as strings.

        Raises ValueError where `text` is not JSON (RFC 8259: NaN and Infinity are not), RecursionError
        where it is nested deeper than the interpreter can follow.
        """
        return json.loads(
            text, parse_int=self._integer, parse_float=self._number, parse_constant=self._constant
        )

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


def read_msgpack(data: bytes) -> Any:
    """The value of `data`. Raises ValueError, of which msgpack has several kinds, where it is none."""
    return msgpack.unpackb(data, raw=False, strict_map_key=True)


def find_flaw(value: object, nesting: int | None = None) -> str | None:
    """Why `value` cannot be told in both forms, or None. `nesting` also limits its depth."""
    level: list[object] = [value]
    depth = 0
    while level:
        deeper: list[object] = []
        containers = False
        for item in level:
            if isinstance(item, list | dict):
                containers = True
            flaw = _look_at(item, deeper)
            if flaw is not None:
                return flaw
        depth += containers
        if nesting is not None and depth > nesting:
            return TOO_DEEP
        level = deeper
    return None


def _look_at(item: object, deeper: list[object]) -> str | None:
    """The flaw of one value without its members, which are added to `deeper`."""
    flaw = None
    if item is None or isinstance(item, bool | bytes):
        pass
    elif isinstance(item, str):
        flaw = SURROGATE if _LONE_SURROGATE.search(item) else None
    elif isinstance(item, int):
        flaw = None if limits.INTEGER_MIN <= item <= limits.INTEGER_MAX else NOT_64_BITS
    elif isinstance(item, float):
        flaw = None if math.isfinite(item) else NOT_FINITE
    elif isinstance(item, list):
        deeper.extend(item)
    elif isinstance(item, dict):
        if not all(isinstance(key, str) for key in item):
            return NOT_A_TEXT_KEY
        deeper.extend(item)
        deeper.extend(item.values())
    else:
        flaw = EXTENSION
    return flaw

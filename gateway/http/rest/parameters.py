"""What stands behind the question mark of a URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from protocol.errors import BadRequest
from schemas import limits

MAX_PARAMETERS: Final = 100
"""Parameters of one URL."""

Given = Mapping[str, Sequence[str]]
"""The parameters of a URL as they stand there, each with all its values."""

IN_URL: Final = {
    "project": "x-project-id",
    "signature": "url-signature",
    "expires": "url-expires",
    "methods": "url-methods",
    "paths": "url-paths",
}
"""Parameters of an event stream's URL, and the headers that they stand for."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_FLAGS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Parameter(NamedTuple):
    """A parameter that a route knows.

    :ivar read: makes a value of its text. ValueError: it is none.
    :ivar field: the field of the action's body that it is; empty: none, it is for REST alone.
    :ivar is_list: whether it is several values with commas between.
    """

    name: str
    read: Callable[[str], Any]
    field: str
    is_list: bool = False


def text(name: str, field: str | None = None) -> Parameter:
    """Any text."""
    return Parameter(name, str, name if field is None else field)


def integer(name: str) -> Parameter:
    """A whole number."""
    return Parameter(name, _read_integer, name)


def wait() -> Parameter:
    """For how many seconds to wait for what is not there yet."""
    return Parameter("wait", _read_wait, "")


def flag(name: str, field: str | None = None) -> Parameter:
    """True or false."""
    return Parameter(name, _read_flag, name if field is None else field)


def names(name: str, field: str) -> Parameter:
    """Several ids, with commas between."""
    return Parameter(name, _read_names, field, is_list=True)


def split(query: str) -> Given:
    """The parameters of a URL as they stand there; those without a value are left out. BadRequest."""
    given: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(query, errors="replace", max_num_fields=MAX_PARAMETERS):
            given.setdefault(name, []).append(value)
    except ValueError:
        raise BadRequest(f"A URL has at most {MAX_PARAMETERS} parameters.") from None
    return given


def read(known: Sequence[Parameter], given: Given) -> dict[str, Any]:
    """The values of those that are known, in their order; others are ignored. BadRequest.

    A parameter that is there several times is a list in parts, as python-zaqarclient sends it; of any other
    the last counts.
    """
    values = {}
    for parameter in known:
        if parameter.name in given:
            several = given[parameter.name]
            try:
                values[parameter.name] = parameter.read(
                    ",".join(several) if parameter.is_list else several[-1]
                )
            except ValueError as error:
                raise BadRequest(f"{parameter.name} must be {error}") from None
    return values


def write(values: dict[str, Any]) -> str:
    """Values as they stand in a URL."""
    shown = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return urlencode(shown)


def _read_integer(given: str) -> int:
    if _INTEGER.fullmatch(given) is None:
        raise ValueError("an integer")
    return int(given)


def _read_wait(given: str) -> int:
    seconds = int(given) if _INTEGER.fullmatch(given) else -1
    if not 0 <= seconds <= limits.WAIT_MAX:
        raise ValueError(f"an integer from 0 to {limits.WAIT_MAX}")
    return seconds


def _read_flag(given: str) -> bool:
    if given.lower() not in _FLAGS:
        raise ValueError("true or false")
    return _FLAGS[given.lower()]


def _read_names(given: str) -> list[str]:
    return [name for name in given.split(",") if name]

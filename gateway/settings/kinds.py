"""Types of values that settings have: how each is read from text and from TOML, and what is allowed."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storage.redis import address

_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True)
class Kind:
    """A type of value.

    `from_text` takes what the command line and the environment give, `from_toml` what `tomllib` gives. Both
    raise `ValueError` for what is not `allowed`. `metavar` stands for a value in the help.
    """

    metavar: str
    allowed: str
    from_text: Callable[[str], Any]
    from_toml: Callable[[Any], Any]


def _only(kind: type, check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def from_toml(value: object) -> Any:
        # bool is an int in Python, and not in TOML.
        if type(value) is not kind:
            raise ValueError(value)
        return check(value)

    return from_toml


def text(metavar: str, allowed: str, check: Callable[[str], Any]) -> Kind:
    """Text that `check` reads; it raises ValueError for what is not allowed."""
    return Kind(metavar, allowed, check, _only(str, check))


def choice(*choices: str) -> Kind:
    """One of several words."""

    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return text("{" + ",".join(choices) + "}", ", ".join(choices[:-1]) + " or " + choices[-1], check)


def integer(low: int, high: int) -> Kind:
    """An integer from `low` to `high`."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(value)
        return value

    def from_text(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise ValueError(text)
        return check(int(text))

    return Kind("N", f"an integer from {low} to {high}", from_text, _only(int, check))


def seconds(low: float, high: float) -> Kind:
    """Seconds from `low` to `high`; fractions are allowed."""

    def check(value: float) -> float:
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError(value)
        return float(value)

    def from_text(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise ValueError(text)
        return check(float(text))

    def from_toml(value: object) -> float:
        return check(value) if type(value) is float else _only(int, check)(value)

    return Kind("SECONDS", f"seconds from {low:g} to {high:g}", from_text, from_toml)


def listed(each: Kind) -> Kind:
    """Any number of values of a kind, as a tuple: separated by commas in text, a list in TOML."""

    def from_text(text: str) -> tuple[Any, ...]:
        return tuple(each.from_text(part.strip()) for part in text.split(",")) if text.strip() else ()

    def from_toml(value: list[Any]) -> tuple[Any, ...]:
        return tuple(each.from_toml(part) for part in value)

    return Kind(
        f"{each.metavar},...", f"{each.allowed}; several by commas", from_text, _only(list, from_toml)
    )


def boolean() -> Kind:
    """True or false."""

    def from_text(text: str) -> bool:
        if text.lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.lower()]

    return Kind("BOOLEAN", "true or false", from_text, _only(bool, lambda value: value))


def check_host(text: str) -> str:
    """An IP address or a host name."""
    if not re.fullmatch(r"[0-9A-Za-z_.:%-]{1,253}", text):
        raise ValueError(text)
    return text


def check_network(text: str) -> str:
    """An IP network, or one address."""
    return str(ipaddress.ip_network(text))


def check_folder(text: str) -> Path:
    """A folder, relative to the working folder or to the home folder (~)."""
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(os.path.abspath(os.path.expanduser(text)))


def check_file(text: str) -> Path:
    """A file, relative to the working folder or to the home folder (~)."""
    return check_folder(text)


def check_web_url(text: str) -> str:
    """The address of something on the web, to which a path or a query can be added."""
    parts = urlsplit(text)
    plain = text.isascii() and text.isprintable() and " " not in text
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(text)
    if parts.query or parts.fragment or parts.port == 0:
        raise ValueError(text)
    return text


def check_redis_url(text: str) -> str:
    """A URL that the message store can be reached by."""
    address.parse(text)
    return text


def check_catalog_url(text: str) -> str:
    """A SQLAlchemy URL of a database that the catalog can be on."""
    if not re.match(r"(sqlite|mysql|mariadb|postgresql)(\+[a-z0-9_]+)?://", text) or "\n" in text:
        raise ValueError(text)
    return text

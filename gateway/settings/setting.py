"""One setting: what it may be, how it is read, and how it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gateway.settings.kinds import Kind

PREFIX = "ZAQAR_GATEWAY_"
"""What the names of all settings in the environment begin with."""


class SettingsError(ValueError):
    """Something that was set cannot be used. The message says in one line what, and what is allowed."""


@dataclass(frozen=True)
class Setting:
    """One setting: `name` (snake_case, as in TOML), what it may be, and one line of help."""

    name: str
    kind: Kind
    help: str
    default_text: str
    optional: bool
    secret: bool
    flag: bool

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    def parse(self, value: Any, *, toml: bool = False) -> Any:
        """The value in the type of its field; None if it is optional and empty. Raises `ValueError`."""
        if self.optional and value == "":
            return None
        return self.kind.from_toml(value) if toml else self.kind.from_text(value)

    def shown(self, value: object) -> str:
        """The value as a person may see it."""
        if not self.secret:
            return str(value)
        # Of a URL all but its passwords may be seen; any other secret is one as a whole.
        return mask_url(str(value)) if self.kind.metavar == "URL" else "***"


def setting(
    default: Any,
    kind: Kind,
    help: str,
    *,
    default_text: str = "",
    optional: bool = False,
    secret: bool = False,
) -> Any:
    """A field of a dataclass that is a setting. `default_text` stands for what is found out later."""
    flag = isinstance(default, bool)
    text = default_text or (
        str(default).lower() if flag else f"{default:g}" if isinstance(default, float) else default
    )
    about = {
        "kind": kind,
        "help": help,
        "default_text": str(text),
        "optional": optional,
        "secret": secret,
        "flag": flag,
    }
    return field(default=default, metadata=about, repr=not secret)


def mask_url(url: str) -> str:
    """The URL with its passwords as `***`; only `***` if it is none, so that a mistyped one tells nothing."""
    # With a ? before the last @ it is not clear where the password ends.
    match = re.fullmatch(r"([a-z0-9+]+://)(?:([^:@/?]*)(:[^?]*)?@)?([^@]*)", url)
    if match is None:
        return "***"
    scheme, user, password, rest = match.groups()
    rest = re.sub(r"([?&])([^=&]*)=([^&]*)", _masked_option, rest)
    login = "" if user is None else user + (":***" if password else "") + "@"
    return scheme + login + rest


def _masked_option(match: re.Match[str]) -> str:
    separator, key, value = match.groups()
    if re.search("pass|secret|token|key", unquote(key), re.IGNORECASE):
        value = "***"
    return f"{separator}{key}={value}"

"""Everything that can be set, described once: the fields of `Settings`.

The command line, the environment, the TOML file, `zaqar-gateway config` and the help are made from these
fields; `gateway.settings_sources` reads the sources and puts them in order.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gateway.setting_kinds import (
    Kind,
    boolean,
    check_catalog_url,
    check_folder,
    check_host,
    check_redis_url,
    choice,
    integer,
    seconds,
    text,
)
from storage.redis import address


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
        return "ZAQAR_GATEWAY_" + self.name.upper()

    def parse(self, value: Any, *, toml: bool = False) -> Any:
        """The value in the type of its field; None if it is optional and empty. Raises `ValueError`."""
        if self.optional and value == "":
            return None
        return self.kind.from_toml(value) if toml else self.kind.from_text(value)

    def shown(self, value: object) -> str:
        """The value as a person may see it."""
        return mask_url(str(value)) if self.secret else str(value)


def _setting(
    default: Any,
    kind: Kind,
    help: str,
    *,
    default_text: str = "",
    optional: bool = False,
    secret: bool = False,
) -> Any:
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the gateway runs with. Times are seconds, sizes bytes. Only `data_dir` has to be given here."""

    host: str = _setting(
        "127.0.0.1",
        text("HOST", "an IP address or a host name", check_host),
        "address to listen on; :: and 0.0.0.0 are all",
    )
    port: int = _setting(9000, integer(0, 65535), "port to listen on; 0 takes any free one")
    allow_anonymous: bool = _setting(
        False, boolean(), "listen beyond loopback although nobody has to authenticate"
    )
    workers: int = _setting(
        1, integer(1, 256), "processes that share the port and the sockets; one per CPU core is a good number"
    )
    data_dir: Path = _setting(  # noqa: RUF009  # it makes a field
        MISSING,
        text("FOLDER", "a folder", check_folder),
        "folder of the embedded store and of the SQLite catalog",
        default_text="$XDG_DATA_HOME/zaqar-gateway or ~/.local/share/zaqar-gateway",
    )
    redis_url: str | None = _setting(
        None,
        text("URL", address.FORMS, check_redis_url),
        "Redis 7 or Valkey 8 and later that keeps the messages; empty is the embedded one",
        default_text="an embedded Valkey in data_dir",
        optional=True,
        secret=True,
    )
    catalog_url: str | None = _setting(
        None,
        text(
            "URL",
            "a SQLAlchemy URL of sqlite, mysql, mariadb or postgresql, e.g. mysql+pymysql://user:password@host/zaqar",
            check_catalog_url,
        ),
        "database of the catalog; empty is SQLite",
        default_text="a SQLite file in data_dir",
        optional=True,
        secret=True,
    )
    fsync: str = _setting(
        "always",
        choice("always", "everysec"),
        "when the embedded store syncs to disk: before it answers, or once a second",
    )
    min_replicas: int = _setting(
        0, integer(0, 100), "replicas of redis_url that must have a write before it is answered"
    )
    log_level: str = _setting(
        "info", choice("debug", "info", "warning", "error"), "the least serious events that are logged"
    )
    log_format: str = _setting(
        "auto",
        choice("auto", "human", "json"),
        "form of the log; auto is human on a terminal and json elsewhere",
    )
    max_frame_bytes: int = _setting(
        1_048_576, integer(1024, 67_108_864), "largest WebSocket message that is taken, bytes"
    )
    max_requests_in_flight: int = _setting(
        64, integer(1, 4096), "requests of one socket that may wait; beyond, the socket is not read"
    )
    max_messages_per_post: int = _setting(1000, integer(1, 1000), "messages one post may hold")
    dedup_window: int = _setting(
        600, integer(1, 86_400), "seconds in which a message with the same dedup_id is not stored again"
    )
    handshake_timeout: float = _setting(
        10.0, seconds(0.1, 300), "seconds a client has for the WebSocket handshake"
    )
    ping_interval: int = _setting(
        30, integer(0, 3600), "seconds from a sign of life of a socket to the next ping; 0 sends none"
    )
    ping_timeout: int = _setting(
        60, integer(0, 3600), "seconds of silence after a ping that end a socket; 0 ends none"
    )
    heartbeat_interval: float = _setting(
        10.0, seconds(0.1, 300), "seconds between two signs of life to other nodes; three missed are a death"
    )
    request_timeout: float = _setting(10.0, seconds(0.1, 300), "seconds the store has for one request")
    shutdown_timeout: float = _setting(
        4.0, seconds(0.1, 300), "seconds that requests in flight have at shutdown"
    )
    sweep_interval: float = _setting(
        5.0, seconds(0.1, 3600), "seconds between two sweeps of what has expired"
    )
    lease_grace: float = _setting(
        5.0,
        seconds(0.1, 3600),
        "seconds for which the leases of a closed socket wait for its client to come back",
    )
    fast_path: bool = _setting(
        True, boolean(), "take plain WebSocket frames past Autobahn, at a fraction of the CPU"
    )
    enable_checksum: bool = _setting(False, boolean(), "store and show a checksum of each message body")
    message_delete_with_claim_id: bool = _setting(
        False, boolean(), "deleting a claimed message needs its claim id"
    )
    notification_host: str | None = _setting(
        None,
        text("HOST", "an IP address or a host name", check_host),
        "host name that subscribers are told",
        default_text="the value of host",
        optional=True,
    )


SETTINGS: Mapping[str, Setting] = {
    item.name: Setting(name=item.name, **item.metadata) for item in fields(Settings)
}
"""Every setting by name, in the order in which they are shown."""


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


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` is for this machine only. Of names, only localhost is taken for that."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

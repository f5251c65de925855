"""Where the gateway listens: settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from gateway.settings.kinds import boolean, check_host, integer, text
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Listening."""

    host: str = setting(
        "127.0.0.1",
        text("HOST", "an IP address or a host name", check_host),
        "address to listen on; :: and 0.0.0.0 are all",
    )
    port: int = setting(9000, integer(0, 65535), "port to listen on; 0 takes any free one")
    allow_anonymous: bool = setting(
        False, boolean(), "listen beyond loopback although nobody has to authenticate"
    )
    workers: int = setting(
        1, integer(1, 256), "processes that share the port and the sockets; one per CPU core is a good number"
    )
    notification_host: str | None = setting(
        None,
        text("HOST", "an IP address or a host name", check_host),
        "host name that subscribers are told",
        default_text="the value of host",
        optional=True,
    )


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` is for this machine only. Of names, only localhost is taken for that."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

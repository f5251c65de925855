"""Where the gateway listens: settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from gateway.http.hosts import check_allowed_host, check_origin
from gateway.settings.kinds import boolean, check_file, check_host, check_network, integer, listed, text
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
    tls_cert: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "PEM file with the certificate, then those up to its root; with tls_key, the port speaks TLS only",
        default_text="none: the port speaks plain WebSocket and HTTP",
        optional=True,
    )
    tls_key: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "PEM file with the private key of tls_cert, without a passphrase",
        default_text="none",
        optional=True,
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        listed(text("HOST", "a host name or IP address without a port, or * for any", check_allowed_host)),
        "names that the gateway answers to, in the Host header",
        default_text="localhost, 127.0.0.1, ::1 and the value of host; any with allow_anonymous",
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        listed(text("ORIGIN", "scheme://host[:port], null, or * for any", check_origin)),
        "web pages that may connect, besides those of the gateway's own hosts",
        default_text="none; any with allow_anonymous",
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        listed(text("NETWORK", "an IP address or network such as 10.0.0.0/8", check_network)),
        "proxies whose X-Forwarded-For is believed",
        default_text="none",
    )
    metrics_token_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "file with the token (Authorization: Bearer) that opens /metrics to other machines",
        default_text="none",
        optional=True,
    )
    public_metrics: bool = setting(False, boolean(), "show /metrics to everybody, not to this machine only")
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

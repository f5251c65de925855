"""Which names the node answers to, and which pages may connect.

Without this, any web page could reach a gateway on the visitor's own machine: by a name that resolves to
127.0.0.1 (DNS rebinding), or by opening a WebSocket, which every page may do (RFC 6455 section 10.2).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

ANY = "*"
"""Stands among allowed names or origins where every one is."""

OPAQUE = "null"
"""The origin of a page that has none of its own: a file, a sandboxed frame (RFC 6454 section 6.1)."""

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z_.-]+))(?::([0-9]*))?", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://{_HOST.pattern}", re.ASCII | re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def host_name(value: str) -> str:
    """The name in a Host header: lower case, no port, no brackets; empty if there is none."""
    match = _HOST.fullmatch(value)
    return "" if match is None else (match[1] or match[2]).lower()


def host_allowed(value: str, allowed: Collection[str]) -> bool:
    """Whether the node answers to this Host header. Its port does not count."""
    return ANY in allowed or host_name(value) in allowed


def origin_allowed(
    headers: Mapping[str, str], hosts: Collection[str], origins: Collection[str] = frozenset()
) -> bool:
    """Whether the page that a browser names as origin may connect. Clients that are no browsers name none.

    :param headers: of the handshake, names in lower case.
    :param hosts: the names that the node answers to. Pages of these are its own, whatever their port.
    :param origins: those that are allowed besides, as `check_origin` gives them.
    """
    # The second is the name that the header had before RFC 6455.
    origin = headers.get("origin", headers.get("sec-websocket-origin"))
    if origin is None or ANY in origins:
        return True
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return origin == OPAQUE and OPAQUE in origins
    page = (match[2] or match[3]).lower()
    return page in hosts or page == host_name(headers.get("host", "")) or _serialised(match) in origins


def check_allowed_host(text: str) -> str:
    """A name or an address as `host_allowed` compares it, or ANY. ValueError for anything else."""
    if text == ANY:
        return text
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        if re.fullmatch(r"[0-9a-z_.-]{1,253}", text, re.ASCII | re.IGNORECASE) is None:
            raise
        return text.lower()


def check_origin(text: str) -> str:
    """An origin as `origin_allowed` compares it, ANY or OPAQUE. ValueError for anything else."""
    if text in (ANY, OPAQUE):
        return text
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return _serialised(match)


def _serialised(match: re.Match[str]) -> str:
    """As browsers write an origin: lower case, without the scheme's own port (RFC 6454 section 6.2)."""
    scheme, address, name, port = match.groups()
    host = f"[{address}]" if address else name
    shown = f":{port}" if port and port != _DEFAULT_PORTS.get(scheme.lower()) else ""
    return f"{scheme}://{host}{shown}".lower()

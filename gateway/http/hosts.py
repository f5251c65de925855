"""Which names the node answers to, and which pages may connect.

Without this, any web page could reach a gateway on the visitor's own machine: by a name that resolves to
127.0.0.1 (DNS rebinding), or by opening a WebSocket, which every page may do (RFC 6455 section 10.2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

ANY = "*"
"""Stands in the allowed names where every name is answered to."""


def host_name(value: str) -> str:
    """The name in a Host header or an origin: lower case, no port, no brackets; empty if there is none."""
    try:
        return (urlsplit(f"//{value}").hostname or "").lower()
    except ValueError:
        return ""


def host_allowed(value: str, allowed: Collection[str]) -> bool:
    """Whether the node answers to this Host header."""
    return ANY in allowed or host_name(value) in allowed


def origin_allowed(headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """Whether the page that a browser names as origin may connect. Clients that are no browsers name none.

    A page of the very host and port that it connects to is always allowed.
    """
    origin = headers.get("origin")
    if origin is None or ANY in allowed:
        return True
    place = origin.split("://", 1)[-1]
    return place.lower() == headers.get("host", "").lower() or host_name(place) in allowed

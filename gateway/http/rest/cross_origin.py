"""What browsers have to be told so that pages of other sites may ask (Fetch standard, CORS protocol).

Whether they may is decided before (`allowed_origins`). Nothing here goes by cookies, so none are allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ASKED = (
    *("Accept", "Content-Type", "Client-ID", "X-Project-ID", "X-Auth-Token", "Authorization", "X-Roles"),
    *("URL-Signature", "URL-Expires", "URL-Methods", "URL-Paths", "Last-Event-ID"),
)
"""Headers that a page may send."""

TOLD = ("Location", "X-OpenStack-Request-ID", "Retry-After", "WWW-Authenticate", "Allow")
"""Headers of an answer that a page may read."""

REMEMBERED = 600
"""Seconds for which a browser need not ask again whether it may."""


def is_preflight(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks what a page may do."""
    return "origin" in headers and "access-control-request-method" in headers


def preflight_headers(methods: Iterable[str]) -> dict[str, str]:
    """What a page may do."""
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": ", ".join(ASKED),
        "Access-Control-Max-Age": str(REMEMBERED),
    }


def answer_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What lets the page that asked read the answer. Empty for clients that are no browsers."""
    if "origin" not in headers:
        return {}
    return {
        "Access-Control-Allow-Origin": headers["origin"],
        "Access-Control-Expose-Headers": ", ".join(TOLD),
        "Vary": "Origin",
    }

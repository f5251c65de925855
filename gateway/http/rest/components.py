"""What all operations of the OpenAPI document share: headers, refusals, and how a request says who speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from protocol.signed_urls import ACTION_METHODS
from schemas import limits

_UUID: Final = "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"
REQUEST_HEADERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "Client-ID": {
            "description": "A UUID, in any form, by which the client is known.",
            "required": True,
            # Not by format: some generators of clients make a type of that, which is no header's value.
            "schema": {"type": "string", "pattern": _UUID},
            "example": "3381af92-2b9e-11e3-b191-71861300734c",
        },
        "X-Project-ID": {
            "description": "The project. May be left out where a token says it.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": limits.PROJECT_CHARACTERS,
                "pattern": r"^[^\x00-\x1f\x7f]+$",
            },
            "example": "demo",
        },
        "X-Roles": {
            "description": "Says who administers, where nobody authenticates and the gateway is on loopback.",
            "schema": {"type": "string"},
            "example": "admin",
        },
    }
)

STREAM_HEADERS: Final = (
    {
        "name": "Client-ID",
        "in": "header",
        "description": "May be left out here: an EventSource does not send it.",
        **{key: REQUEST_HEADERS["Client-ID"][key] for key in ("schema", "example")},
    },
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that the client has got. It goes before `from`.",
        "schema": {"type": "string"},
        "example": "1764000000000000",
    },
)
"""What only requests for event streams have; the first instead of the one that all have."""

_TEXT: Final = {"schema": {"type": "string"}}
REPLY_HEADERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "X-OpenStack-Request-ID": {"description": "Is in the log where a request failed.", **_TEXT},
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
        "WWW-Authenticate": {"description": "How to authenticate (RFC 9110).", **_TEXT},
    }
)


class Refused(NamedTuple):
    """What a status says that refuses, and what the answer is called among the components."""

    name: str
    about: str


REFUSALS: Final[Mapping[int, Refused]] = MappingProxyType(
    {
        400: Refused("BadRequest", "The request has to be changed."),
        401: Refused("Unauthorized", "The token speaks for nobody, or there is none."),
        403: Refused("Forbidden", "Who speaks may not do it, or the message is held by a claim."),
        404: Refused("NotFound", "It does not exist, or the signature does not open it."),
        406: Refused("NotAcceptable", "The header Accept has to admit application/json."),
        409: Refused("Conflict", "It exists already, is needed, or is not there to be changed."),
        413: Refused("TooLarge", "The body is too large, or the queue or the project is full."),
        415: Refused("UnsupportedMediaType", "The body is of another content type than this path takes."),
        429: Refused("TooManyRequests", "Requests come faster than they may."),
        503: Refused(
            "Unavailable", "A store or the catalog did not do its part; `code` says if anything was written."
        ),
    }
)
_FURTHER: Final = {401: "WWW-Authenticate", 429: "Retry-After"}

ALWAYS: Final = (400, 401, 403, 404, 406, 429, 503)
"""Statuses that any operation may refuse with."""

_SIGNATURE: Final = ("url_signature", "url_expires", "url_methods", "url_paths")


def _key(header: str, about: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "header", "name": header, "description": about}


SECURITY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "token": _key("X-Auth-Token", "A token, of Keystone or of who else the gateway trusts."),
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same in Authorization."},
        "url_signature": _key("URL-Signature", "The signature that `queue_share` answers."),
        "url_expires": _key("URL-Expires", "Until when it is good, as `queue_share` answers it."),
        "url_methods": _key("URL-Methods", "The methods that it opens, with commas between."),
        "url_paths": _key("URL-Paths", "The paths that it opens, with commas between."),
    }
)


def security_of(actions: set[str]) -> list[dict[str, list[str]]]:
    """Who may speak: nobody in particular where nobody has to authenticate, a token, or a signature."""
    ways: list[Sequence[str]] = [(), ("token",), ("bearer",)]
    if actions <= ACTION_METHODS.keys():
        ways.append(_SIGNATURE)
    return [{scheme: [] for scheme in way} for way in ways]


def refusals() -> dict[str, Any]:
    """Every refusal, by its name."""
    return {refused.name: _refusal(status, refused.about) for status, refused in REFUSALS.items()}


def reply_headers(*further: str) -> dict[str, Any]:
    """The headers that every answer has, and further ones."""
    names = ("X-OpenStack-Request-ID", *further)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusal(status: int, about: str) -> dict[str, Any]:
    further = (_FURTHER[status],) if status in _FURTHER else ()
    return {
        "description": about,
        "headers": reply_headers(*further),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
    }

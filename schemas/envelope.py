"""What stands around every request and reply (protocol.md section 1)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

HEADER_NAMES = {
    "client_id": "Client-ID",
    "project_id": "X-Project-ID",
    "user_agent": "User-Agent",
    "date": "Date",
    "accept": "Accept",
    "auth_token": "X-Auth-Token",
    "url_signature": "URL-Signature",
    "url_expires": "URL-Expires",
    "url_methods": "URL-Methods",
    "url_paths": "URL-Paths",
}

SECRET_HEADERS = frozenset({"x-auth-token", "url-signature"})
"""Never echoed and never logged, in whatever case they are written."""


class RequestHeaders(Struct, frozen=True, kw_only=True, rename=HEADER_NAMES):
    """The headers of every action but authenticate. Others are allowed and ignored."""

    client_id: str
    project_id: str
    user_agent: str | UnsetType = UNSET
    date: str | UnsetType = UNSET
    accept: str | UnsetType = UNSET
    auth_token: str | UnsetType = UNSET
    # Of any type: an ill-formed signed URL is a failed authentication, not a schema violation.
    url_signature: Any = UNSET
    url_expires: Any = UNSET
    url_methods: Any = UNSET
    url_paths: Any = UNSET


class AuthenticateHeaders(Struct, frozen=True, kw_only=True, rename=HEADER_NAMES):
    """The headers of authenticate."""

    project_id: str
    auth_token: str
    client_id: str | UnsetType = UNSET
    user_agent: str | UnsetType = UNSET
    date: str | UnsetType = UNSET
    accept: str | UnsetType = UNSET
    url_signature: Any = UNSET
    url_expires: Any = UNSET
    url_methods: Any = UNSET
    url_paths: Any = UNSET


class Echo(Struct, frozen=True, kw_only=True):
    """The request as the reply repeats it."""

    action: Any = None
    body: Any
    headers: Any
    api: Literal["v2"] = "v2"


class ReplyHeaders(Struct, frozen=True):
    """The headers of a reply: an HTTP status."""

    status: int


class Reply(Struct, frozen=True, kw_only=True):
    """A reply to one request. `id` is the request's, if it had one; no `request` where it asked for none."""

    id: str | int | UnsetType = UNSET
    request: Echo | UnsetType = UNSET
    body: Any
    headers: ReplyHeaders


class ErrorReply(Struct, frozen=True, kw_only=True):
    """The body of a refused request. `code` is stable; the texts are for people.

    What is refused before the action runs has `error` alone; what the action refuses has `exception` too.
    """

    error: str | None
    code: str
    exception: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET

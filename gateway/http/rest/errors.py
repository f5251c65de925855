"""Refusals that only HTTP has, and how all of them are told over REST (protocol.md section 8)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from protocol.errors import (
    AdminOnly,
    AuthenticationFailed,
    BadRequest,
    Conflict,
    Forbidden,
    MalformedFrame,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RequestError,
    SchemaViolation,
    TooManyRequests,
)
from schemas.rest import Refusal
from storage.errors import TooManyQueues

AGAIN = "Please try again in a few seconds."


class Titled(BadRequest):
    """The client has to change what upstream tells under a title of its own."""

    def __init__(self, title: str, told: str) -> None:
        super().__init__(told)
        self.title = title


class MethodNotAllowed(RequestError):
    """The path is there, the method is not. `allowed` are those that are."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(f"This can be asked for by {', '.join(allowed)}.")
        self.allowed = allowed


class NotAcceptable(RequestError):
    """The client takes no JSON."""

    status = 406
    code = "not_acceptable"


class BodyTooLarge(RequestError):
    """The body of a request has more bytes than a frame may have: fewer, where it says not who sends it."""

    status = 413
    code = "body_too_large"
    limit = "max_frame_bytes"

    def __init__(self, most: int, *, authenticated: bool) -> None:
        told = f"The body of a request may have {most} bytes"
        if authenticated:
            super().__init__(f"{told}.")
        else:
            super().__init__(f"{told} without authentication.")
            self.limit = "max_unauthenticated_frame_bytes"


class UnsupportedMediaType(RequestError):
    """The body is of another content type than this path takes."""

    status = 415
    code = "unsupported_media_type"


_TITLES: tuple[tuple[type[RequestError] | tuple[type[RequestError], ...], str], ...] = (
    ((MalformedFrame, SchemaViolation), "Invalid request body"),
    ((AdminOnly, NotPermitted, NotAuthenticated, AuthenticationFailed), "Not authorized"),
    (TooManyQueues, "Too many queues"),
    (Forbidden, "Unable to delete"),  # what is left of them: somebody's claim holds it
    (NotFound, "Not found"),
    (Conflict, "Resource conflict"),
)


@contextmanager
def titled(title: str) -> Iterator[None]:
    """Whatever is refused as a BadRequest in here is told under this title."""
    try:
        yield
    except BadRequest as error:
        raise Titled(title, str(error)) from error


def document(error: RequestError) -> Refusal:
    """The body of the answer: title and description as upstream's, and the stable code."""
    told = str(error)
    if error.status == 503:
        told = f"{told} {AGAIN}"
    return Refusal(title=_title(error), description=told, code=error.code)


def headers(error: RequestError) -> dict[str, str]:
    """The headers that belong to it."""
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, AuthenticationFailed):
        return {"WWW-Authenticate": 'Bearer realm="zaqar-gateway"'}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(int(error.retry_after) + 1)}
    return {}


def _title(error: RequestError) -> str:
    if isinstance(error, Titled):
        return error.title
    for kinds, title in _TITLES:
        if isinstance(error, kinds):
            return title
    if error.status == 400:
        return "Invalid API request"
    if error.status == 503:
        return "Service temporarily unavailable"
    return HTTPStatus(error.status).phrase

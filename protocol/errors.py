"""Everything a request can fail with, and what the client is told.

::

    RequestError                      status, code, retry
    ├── BadRequest              400   the client has to change the request
    │   ├── MalformedFrame            the frame is not one JSON or MessagePack document
    │   │   └── TooManyParts              it holds more arrays and objects than any request needs
    │   ├── UnknownAction             `action` names nothing that exists
    │   ├── SchemaViolation           a field is missing or has the wrong type
    │   ├── SubprotocolNeeded         the action is not for sockets without protocol.extension
    │   ├── TooManyConsumers          the socket has as many as it may have
    │   └── TooManySubscriptions      the same
    ├── AuthenticationFailed    401   the token speaks for nobody
    ├── NotAuthenticated        403   nobody has authenticated
    │   └── OtherProject              the request is for another project than the token's
    ├── Forbidden               403   the message is held by somebody's claim
    │   ├── AdminOnly                 only administrators may, and who asks is not known to be one
    │   └── NotPermitted              the token's rights, or the operator's policy, do not have it
    ├── NotFound                404
    ├── Conflict                409
    ├── ProjectFull             413   the project's messages have as many bytes as they may
    ├── TooManyRequests         429   they come faster than they may
    ├── TooManySockets          429   the project has as many as it may have
    └── Unavailable             503   a store did not do it; the storage package refines this

Each error knows its reply body in the form that Zaqar's clients expect (protocol.md section 1):
`{"error": ...}` for what is refused before the action runs, `{"exception": ..., "error": ...}` for
what the action refuses. Both carry `code`, which is stable, so that programs need not read prose.
"""

from __future__ import annotations

from typing import Any, ClassVar


def well_formed(text: str) -> str:
    """`text` with half surrogate pairs escaped, so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


class RequestError(Exception):
    """A request was not done. The message is a sentence for the client."""

    status: ClassVar[int] = 500
    """The status of the reply."""

    code: str = "internal_error"
    """Stable name of the reason."""

    retry: ClassVar[bool] = False
    """Whether the same request may succeed later."""

    limit: str = ""
    """The limit that is reached, as the metrics name it; empty if it is none."""

    def __init__(self, message: str, *, error: str | None = None, code: str | None = None) -> None:
        super().__init__(well_formed(message))
        self.error = error
        if code is not None:
            self.code = code

    def body(self) -> dict[str, Any]:
        """The reply's body."""
        return {"exception": str(self), "error": self.error, "code": self.code}


class BadRequest(RequestError):
    """The client has to change the request."""

    status = 400
    code = "bad_request"


class MalformedFrame(BadRequest):
    """The frame holds no request: not one document, or not an object."""

    code = "malformed_frame"

    def body(self) -> dict[str, Any]:
        return {"error": str(self), "code": self.code}


class TooManyParts(MalformedFrame):
    """The frame holds more arrays and objects than any request needs."""

    code = "too_many_parts"
    limit = "frame_parts"


class UnknownAction(BadRequest):
    """`action` is missing or names nothing that exists."""

    code = "unknown_action"

    def body(self) -> dict[str, Any]:
        return {"error": str(self), "code": self.code}


class SchemaViolation(BadRequest):
    """A header or a field of the body is missing or has the wrong type. The message says where."""

    code = "schema_violation"

    def body(self) -> dict[str, Any]:
        return {"error": "Schema validation failed.", "detail": str(self), "code": self.code}


class SubprotocolNeeded(BadRequest):
    """The action is only for sockets that have agreed on the subprotocol."""

    code = "subprotocol_needed"


class TooManyConsumers(BadRequest):
    """The socket has as many consumers as it may have."""

    code = "too_many_consumers"
    limit = "consumers_per_socket"


class TooManySubscriptions(BadRequest):
    """The socket has as many subscriptions as it may have."""

    code = "too_many_subscriptions"
    limit = "max_subscriptions_per_socket"


class AuthenticationFailed(RequestError):
    """The token speaks for nobody.

    :param reason: a word for the log, which must hold nothing of the token. The client is not told.
    """

    status = 401
    code = "authentication_failed"

    def __init__(self, reason: str = "") -> None:
        super().__init__("Authentication failed.")
        self.reason = reason

    def body(self) -> dict[str, Any]:
        return {"error": str(self), "code": self.code}


class NotAuthenticated(RequestError):
    """Nobody has authenticated on this connection."""

    status = 403
    code = "not_authenticated"

    def __init__(self, message: str = "Not authentified.") -> None:
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        return {"error": str(self), "code": self.code}


class OtherProject(NotAuthenticated):
    """`X-Project-ID` is not the project of the token."""

    code = "other_project"

    def __init__(self) -> None:
        # Zaqar spells the two refusals differently (protocol.md section 3).
        super().__init__("Not authenticated.")


class Forbidden(RequestError):
    """What was asked for is held by somebody else."""

    status = 403
    code = "forbidden"


class AdminOnly(Forbidden):
    """Only administrators may do this."""

    code = "admin_only"


class NotPermitted(Forbidden):
    """The rights of the token do not have it, or the operator's policy refuses it."""

    code = "not_permitted"


class NotFound(RequestError):
    """What was asked for does not exist in this project and queue."""

    status = 404
    code = "not_found"


class Conflict(RequestError):
    """It exists already, or is not there to be changed."""

    status = 409
    code = "conflict"


class ProjectFull(RequestError):
    """The messages of the project have as many bytes as they may. Nothing was stored."""

    status = 413
    code = "project_full"
    retry = True
    limit = "max_project_bytes"


class TooManyRequests(RequestError):
    """Requests come faster than they may; `retry_after` says in how many seconds the next may come."""

    status = 429
    code = "too_many_requests"
    retry = True

    def __init__(self, message: str, retry_after: float, limit: str) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.limit = limit

    def body(self) -> dict[str, Any]:
        return {**super().body(), "retry_after": self.retry_after}


class TooManySockets(RequestError):
    """The project has as many sockets as it may have."""

    status = 429
    code = "too_many_sockets"
    retry = True
    limit = "max_sockets_per_project"

    def body(self) -> dict[str, Any]:
        return {"error": str(self), "code": self.code}


class Unavailable(RequestError):
    """Something the gateway depends on did not do its part."""

    status = 503
    code = "unavailable"
    retry = True

"""Everything a request can fail with, and what the client is told.

::

    RequestError                      status, code, retry
    ├── BadRequest              400   the client has to change the request
    │   ├── MalformedFrame            the frame is not one JSON or MessagePack document
    │   ├── UnknownAction             `action` names nothing that exists
    │   ├── SchemaViolation           a field is missing or has the wrong type
    │   ├── SubprotocolNeeded         the action is not for sockets without protocol.extension
    │   └── TooManyConsumers          the socket has as many as it may have
    ├── AuthenticationFailed    401   the token speaks for nobody
    ├── NotAuthenticated        403   nobody, or somebody else, is speaking
    ├── Forbidden               403   the message is held by somebody's claim
    │   └── AdminOnly                 only administrators may, and here nobody is known to be one
    ├── NotFound                404
    ├── Conflict                409
    └── Unavailable             503   a store did not do it; the storage package refines this

Each error knows its reply body in the form that Zaqar's clients expect (protocol.md section 1):
`{"error": ...}` for what is refused before the action runs, `{"exception": ..., "error": ...}` for
what the action refuses. Both carry `code`, which is stable, so that programs need not read prose.
"""

from __future__ import annotations

from typing import ClassVar


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

    def __init__(self, message: str, *, error: str | None = None, code: str | None = None) -> None:
        super().__init__(well_formed(message))
        self.error = error
        if code is not None:
            self.code = code

    def body(self) -> dict[str, str | None]:
        """The reply's body."""
        return {"exception": str(self), "error": self.error, "code": self.code}


class BadRequest(RequestError):
    """The client has to change the request."""

    status = 400
    code = "bad_request"


class MalformedFrame(BadRequest):
    """The frame holds no request: not one document, or not an object."""

    code = "malformed_frame"

    def body(self) -> dict[str, str | None]:
        return {"error": str(self), "code": self.code}


class UnknownAction(BadRequest):
    """`action` is missing or names nothing that exists."""

    code = "unknown_action"

    def body(self) -> dict[str, str | None]:
        return {"error": str(self), "code": self.code}


class SchemaViolation(BadRequest):
    """A header or a field of the body is missing or has the wrong type. The message says where."""

    code = "schema_violation"

    def body(self) -> dict[str, str | None]:
        return {"error": "Schema validation failed.", "detail": str(self), "code": self.code}


class SubprotocolNeeded(BadRequest):
    """The action is only for sockets that have agreed on the subprotocol."""

    code = "subprotocol_needed"


class TooManyConsumers(BadRequest):
    """The socket has as many consumers as it may have."""

    code = "too_many_consumers"


class AuthenticationFailed(RequestError):
    """The token speaks for nobody. Of its own accord the message never says more than that."""

    status = 401
    code = "authentication_failed"

    def __init__(self) -> None:
        super().__init__("Authentication failed.")

    def body(self) -> dict[str, str | None]:
        return {"error": str(self), "code": self.code}


class NotAuthenticated(RequestError):
    """Nobody has authenticated on this connection, or the project is not that of the token."""

    status = 403
    code = "not_authenticated"

    def body(self) -> dict[str, str | None]:
        return {"error": str(self), "code": self.code}


class Forbidden(RequestError):
    """What was asked for is held by somebody else."""

    status = 403
    code = "forbidden"


class AdminOnly(Forbidden):
    """Only administrators may do this."""

    code = "admin_only"


class NotFound(RequestError):
    """What was asked for does not exist in this project and queue."""

    status = 404
    code = "not_found"


class Conflict(RequestError):
    """It exists already, or is not there to be changed."""

    status = 409
    code = "conflict"


class Unavailable(RequestError):
    """Something the gateway depends on did not do its part."""

    status = 503
    code = "unavailable"
    retry = True

"""Everything that a call can fail with.

::

    GatewayError
    ├── RequestFailed               the gateway refused: status, code
    │   ├── BadRequest        400   the request has to be changed
    │   ├── Forbidden         403
    │   │   └── NotAuthenticated    also 401: no token, an expired one, or one of another project
    │   ├── NotFound          404
    │   ├── Conflict          409
    │   └── Unavailable       503   the same request may succeed later; also 429: too many came
    ├── ConnectionLost              the socket broke after the request was sent: done or not
    ├── CallTimeout                 also a TimeoutError: no answer in time
    ├── PostExpired                 a post waited longer than it can be repeated safely
    ├── OutboxFull                  too many posts wait
    ├── ConnectFailed               there is no connection, and there will be none
    ├── ExtensionNeeded             the server has not agreed on the subprotocol zaqar-gateway.v1
    ├── Ended                       the server ended a subscription or a consumer
    └── Closed                      the gateway object was closed
"""

from __future__ import annotations

from typing import Any


class GatewayError(Exception):
    """A call was not done, or nobody knows whether it was."""


class RequestFailed(GatewayError):
    """The gateway answered with a refusal.

    `status` has the meaning of HTTP's, `code` is a stable name of the reason (docs/protocol.md, Errors; empty
    where the server is not a zaqar-gateway), and the message is a sentence for people.
    """

    def __init__(self, action: str, status: int, code: str, message: str) -> None:
        super().__init__(
            f"{action}: {status} {code}: {message}" if code else f"{action}: {status}: {message}"
        )
        self.action = action
        self.status = status
        self.code = code


class BadRequest(RequestFailed):
    """400: the request has to be changed."""


class Forbidden(RequestFailed):
    """403: it belongs to somebody else, or is for administrators."""


class NotAuthenticated(Forbidden):
    """401, or 403 with the code `not_authenticated`: the token is missing, expired or of another project."""


class NotFound(RequestFailed):
    """404: there is no such thing in this project and queue."""


class Conflict(RequestFailed):
    """409: it exists already, or is not there to be changed."""


class Unavailable(RequestFailed):
    """503: the same request may succeed later. With the code `outcome_unknown` it may have been done.

    Also 429: requests come faster than they may, and nothing was done.
    """


class ConnectionLost(GatewayError):
    """The socket broke before the answer came.

    :ivar sent: whether the request had left; then it may have been done or not.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class CallTimeout(GatewayError, TimeoutError):
    """No answer came in time.

    :ivar outcome_unknown: whether the request had left; then it may have been done, or may still be.
    """

    def __init__(self, message: str, *, outcome_unknown: bool) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class PostExpired(GatewayError):
    """A post could not be delivered while the gateway would have recognised a repeat.

    :ivar outcome_unknown: False if it never left, so surely nothing was stored.
    """

    def __init__(self, message: str, *, outcome_unknown: bool) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class OutboxFull(GatewayError):
    """As many messages or bytes wait to be stored as may."""


class ConnectFailed(GatewayError):
    """The connection was refused for good, or did not come about in time."""


class ExtensionNeeded(GatewayError):
    """The call needs the subprotocol zaqar-gateway.v1, which the server has not agreed on."""


class Ended(GatewayError):
    """The server ended a subscription or a consumer. `reason` is its word for why."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Closed(GatewayError):
    """The gateway object was closed."""


_BY_STATUS: dict[int, type[RequestFailed]] = {
    400: BadRequest,
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: Unavailable,
    503: Unavailable,
}


def failure_of(action: str, status: int, body: Any) -> RequestFailed:
    """The error for a refusal.

    :param body: the reply's: a text, or an object with some of `error`, `exception`, `detail` and `code`.
    """
    code, texts = "", [body]
    if isinstance(body, dict):
        code = str(body.get("code") or "")
        texts = [body.get(key) for key in ("exception", "error", "detail")]
    message = " ".join(str(text) for text in texts if text) or "no reason was given"
    kind = _BY_STATUS.get(status, RequestFailed)
    if code == "not_authenticated":
        kind = NotAuthenticated
    return kind(action, status, code, message)

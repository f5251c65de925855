"""What is made of a request that was read: the coroutine that does it, or the answer that it was not done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.actions import ACTIONS
from gateway.actions.call import Answer, Call, Client, Node
from gateway.actions.messages import message_posts
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.websocket.authentication import SocketAuthentication
from protocol import envelope
from protocol.envelope import Incoming
from protocol.errors import RequestError
from protocol.registry import ACTIONS as REGISTERED

AUTHENTICATE = REGISTERED["authenticate"]
"""The one action that nobody has to have authenticated for."""

log = get_logger(__name__)


class SocketClient(Client, Protocol):
    """The session that a request came on."""

    @property
    def authentication(self) -> SocketAuthentication | None:
        """Who speaks on it; None: nobody has to authenticate."""


def begin(node: Node, client: SocketClient, requests: Sequence[Incoming], since: float) -> Any:
    """The coroutine of the action. Raises RequestError where the request is not in order.

    :param requests: one, or posts that are stored together.
    :param since: when it was taken up, by `perf_counter`.
    """
    incoming = requests[0]
    if incoming.failure is not None:
        raise incoming.failure
    assert incoming.action is not None
    if incoming.action is not AUTHENTICATE:
        until = node.authorisation.check(client.identity, incoming)
        if until is not None:
            _heed_signature(node, client, incoming, until, since)
    if len(requests) > 1:
        return message_posts([Call(node, client, post) for post in requests])
    envelope.check(incoming)
    return ACTIONS[incoming.action.name](Call(node, client, incoming))


def _heed_signature(node: Node, client: SocketClient, incoming: Incoming, until: float, since: float) -> None:
    """A signature permits the request, which counts for the project that has signed. RequestError."""
    assert incoming.headers is not None
    project, rates = incoming.headers.project_id, node.rates
    if client.authentication is not None:
        client.authentication.signed(project, until)
    too_fast = None if rates is None else rates.refusal(None, project, since)
    if too_fast is not None:
        raise too_fast


def refusal(metrics: Metrics, error: RequestError, connection: str, number: int) -> Answer:
    """The answer to a request that was refused, which is counted.

    :param connection: which one it came on, and
    :param number: where it stands among its requests, for the log.
    """
    if error.limit:
        metrics.refused(error.limit)
    if error.status >= 500:
        metrics.store_failed(error.code)
        log.warning(
            "request_failed",
            connection=connection,
            request=number,
            code=error.code,
            reason=str(error),
        )
    return error.status, error.body()


def fault(metrics: Metrics, connection: str, number: int) -> Answer:
    """The answer where the gateway has failed. To be called where the exception is handled."""
    log.exception("request_broke", connection=connection, request=number)
    error = RequestError("The gateway failed on this request.", error="Unexpected error.")
    metrics.store_failed(error.code)
    return error.status, error.body()

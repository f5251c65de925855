"""One request over REST and its answer, as bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast
from urllib.parse import urljoin

import msgspec
from twisted.python.failure import Failure
from twisted.web.server import Request

from gateway import __version__
from gateway.actions.call import Node
from gateway.http.request import read_headers
from gateway.http.resource import request_id
from gateway.http.rest import errors
from gateway.http.rest.asked import Shown
from gateway.http.rest.client import RestClient
from gateway.http.rest.reading import Headers
from gateway.logs import get_logger
from gateway.push.frames import STREAMED, notice
from protocol import event_stream
from protocol.errors import RequestError, TooManyRequests, Unavailable
from schemas.events import UnavailableEvent

COME_BACK = 1_000
"""Milliseconds after which, up to twice as many, clients of an event stream that ended come back."""

log = get_logger(__name__)


class Exchange:
    """A request and its answer as bytes.

    :ivar left: whether the client has gone before it was answered.
    :ivar streamed: whether the client is an EventSource, which takes nothing but an event stream.
    """

    def __init__(self, node: Node, request: Request) -> None:
        self.request = request
        self.id = request_id()
        self.action = "invalid"
        self.further: dict[str, str] = {}
        self.headers: Headers = read_headers(request)
        self.method = request.method.decode("latin-1")
        self.query = request.uri.partition(b"?")[2].decode("latin-1")
        self._node = node
        self._since = perf_counter()
        self.left = self.streamed = False
        self.client: RestClient | None = None
        self._when_left: list[Callable[[], None]] = []
        request.notifyFinish().addErrback(self._leave)

    def when_left(self, callback: Callable[[], None]) -> None:
        """Have this called when the client goes before it is answered."""
        self._when_left.append(callback)

    def _leave(self, _: Failure) -> None:
        self.left = True
        for callback in self._when_left:
            callback()

    def content(self) -> bytes:
        """The body."""
        assert self.request.content is not None
        return cast(bytes, self.request.content.read())

    def heed_rate(self) -> None:
        """Raise TooManyRequests if requests of a connection come too fast."""
        rates, channel = self._node.rates, cast(Any, self.request.channel)
        if rates is None:
            return
        if not hasattr(channel, "bucket"):
            channel.bucket = rates.new_bucket()
        _raise(rates.refusal(channel.bucket, None, self._since))

    def heed_rate_of(self, project: str) -> None:
        """Raise TooManyRequests if those of a project do, for which this one counts."""
        rates = self._node.rates
        if rates is not None:
            _raise(rates.refusal(None, project, self._since))

    def refuse(self, error: RequestError) -> None:
        """Answer that it was not done."""
        self._note(error)
        self.further |= errors.headers(error)
        self.write(Shown(error.status, errors.document(error)))

    def put_off(self, error: RequestError) -> None:
        """The same to an EventSource, which comes back for a stream that ends, but for no other status."""
        self._note(error)
        retry = random.randrange(COME_BACK, 2 * COME_BACK)
        if isinstance(error, TooManyRequests):
            retry += int(1000 * error.retry_after)
        event = UnavailableEvent(code=error.code, reason=str(error))
        told = event_stream.place(None, retry) + notice(event, STREAMED)
        self.begin_stream(error.status)
        if not self.left:
            self.request.write(told)
            self.request.finish()

    def begin_stream(self, status: int = 200) -> None:
        """Write the head of an event stream, unless the client has left. `status` is for the metrics."""
        self._count(status)
        if not self.left:
            # Nobody on the way shall keep it: neither for others, nor until it ends.
            self.further |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            self.further["X-Content-Type-Options"] = "nosniff"
            self._set_head(200, event_stream.CONTENT_TYPE)

    def _count(self, status: int) -> None:
        # What a client has waited for on purpose says nothing of how fast it is answered.
        waited = 0.0 if self.client is None else self.client.waited
        self._node.metrics.request_done(self.action, status, perf_counter() - self._since - waited)

    def _note(self, error: RequestError) -> None:
        metrics = self._node.metrics
        if error.limit:
            metrics.refused(error.limit)
        if error.status >= 500:
            metrics.store_failed(error.code)
        if isinstance(error, Unavailable):
            log.warning("request_failed", request=self.id, code=error.code, reason=str(error))

    def write(self, shown: Shown) -> None:
        """Answer, unless the client has left."""
        self._count(shown.status)
        if self.left:
            return
        request = self.request
        if shown.location:
            request.setHeader(b"location", _joined(shown.location).encode())
        body = b"" if shown.body is None else msgspec.json.encode(shown.body)
        self._set_head(shown.status, shown.kind if body else "")
        if shown.status != 204:
            request.setHeader(b"content-length", b"%d" % len(body))
        if body:
            request.write(body)
        request.finish()

    def _set_head(self, status: int, kind: str) -> None:
        request = self.request
        request.setResponseCode(status)
        request.setHeader(b"server", f"zaqar-gateway/{__version__}".encode())
        request.setHeader(b"x-openstack-request-id", self.id.encode())
        for name, value in self.further.items():
            request.setHeader(name.encode(), value.encode("latin-1"))
        if kind:
            request.setHeader(b"content-type", kind.encode())

    def abort(self) -> None:
        """Nothing can be answered."""
        if not self.left:
            self.request.loseConnection()


def _raise(refusal: TooManyRequests | None) -> None:
    if refusal is not None:
        raise refusal


def _joined(path: str) -> str:
    """A path as upstream's server tells it: `/v2/queues/..` is `/v2/` (RFC 3986 section 5.2.4)."""
    return urljoin("/", path) if "/." in path else path

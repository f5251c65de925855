"""One connected client: its requests one after the other, its notifications in between.

A request's way is here: frame, codec, schema; authorise, action (gateway.websocket.requests); store, reply,
codec, frame. Requests of one socket are answered in the order in which they came. From when a request is
taken up until its reply is out, no notification is sent; those that wait go out before the next request.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.actions.call import Answer, Node
from gateway.limits.rates import Rates
from gateway.logs import get_logger
from gateway.websocket.authentication import SocketAuthentication
from gateway.websocket.joined_posts import MAX_JOINED, goes_with, is_post
from gateway.websocket.requests import begin, fault, refusal
from gateway.websocket.sink import SocketSink
from gateway.websocket.wire import Wire
from protocol import envelope
from protocol.codec import Form
from protocol.envelope import Incoming
from protocol.errors import RequestError
from schemas.events import DrainingEvent

RECONNECT_SPREAD = 5_000
"""Milliseconds over which the clients of a node that stops are asked to come back."""

log = get_logger(__name__)


class Session(SocketSink):
    """A client's requests, notifications and subscriptions.

    While it is not writable, nothing is read and no request is taken up.
    """

    __slots__ = (
        "_action",
        "_ahead",
        "_bucket",
        "_count",
        "_finished",
        "_finishing",
        "_idle",
        "_incoming",
        "_paused",
        "_request_bytes",
        "_requests",
        "_since",
        "authentication",
    )

    def __init__(self, node: Node, wire: Wire, *, extended: bool, compressed: bool) -> None:
        super().__init__(node, wire, extended=extended, compressed=compressed)
        self._requests: list[tuple[bytes, Form]] = []
        self._request_bytes = 0
        self._paused = False
        self._finishing = self._finished = False
        self._idle: Deferred[None] | None = None
        self._count = 0
        # The request at work, with those that are done together with it; and since when.
        self._incoming: list[Incoming] = []
        self._action: Any = None
        self._ahead: Incoming | None = None  # has been read to see whether it is one of those
        self._since = 0.0
        self.authentication: SocketAuthentication | None = None
        if node.authenticator is not None:
            self.authentication = SocketAuthentication(node, node.authenticator, self, wire)
        self._bucket = None if node.rates is None else node.rates.new_bucket()

    # What the socket tells

    def receive(self, frame: bytes, form: Form) -> None:
        """A frame came in."""
        if self._finished or self.closed:
            return
        self._requests.append((frame, form))
        self._request_bytes += len(frame)
        self._work()
        if not self._paused and self._has_enough():
            self._paused = True
            self._node.metrics.reading_paused()
            self._wire.pause_reading()

    def hold(self) -> bool:
        """Whether a frame that is too large for a stranger has to wait until it is known who speaks."""
        if self.authentication is None or not self.authentication.asking:
            return False
        self._paused = True
        self._wire.pause_reading()
        return True

    def _has_enough(self) -> bool:
        settings = self._node.settings
        return (
            len(self._requests) >= settings.max_requests_in_flight
            or self._request_bytes >= settings.max_frame_bytes
        )

    def set_writable(self, writable: bool) -> None:
        """The socket's unsent bytes passed the transport's limit, or fell below it."""
        self.writable = writable
        self.outlet.free = None
        if writable:
            self._work()
            self._read_on()
        else:
            self._wire.pause_reading()  # pings are answered too, and fill memory if nobody reads that

    def _unpause(self) -> None:
        """Have the socket read again, if that was stopped for the requests, and there is room for more."""
        if self._paused and not self._finishing and not self._has_enough():
            self._paused = False
            self._read_on()

    def _read_on(self) -> None:
        """Have the socket read, unless something stands against it."""
        if self.writable and not self._paused and (self._finished or not self._finishing):
            self._wire.resume_reading()

    def close(self) -> None:
        """The socket is closed: what waits is dropped, its subscriptions end."""
        self.closed = True
        self.outlet.close()
        self._requests.clear()
        self._ahead = None
        self._notifications.clear()
        if self.authentication is not None:
            self.authentication.close()
            self.authentication = None
        self._node.hub.closed(self)
        self._node.consumers.closed(self)
        self._tell_idle()

    def end(self, code: int, reason: str) -> None:
        """Close the socket: nothing of it is done or sent any more."""
        self.close()
        self._wire.close(code, reason)
        self._wire.resume_reading()  # or the client's own close would never be read

    async def finish(self) -> None:
        """Answer the requests that have come, and take no more."""
        self._finishing = True
        # Spread at random, or all would come back at once.
        self.notify(DrainingEvent(reconnect_after_ms=random.randrange(RECONNECT_SPREAD)))
        self._wire.pause_reading()
        if self._working:
            self._idle = Deferred()
            await self._idle
        self._finished = True
        self._wire.resume_reading()  # or the client's own close would never be read

    # Requests

    def begin_with(self, token: str) -> None:
        """Authenticate with the token of the handshake; requests wait for the outcome."""
        if self.authentication is not None:
            self._working = True
            asking = Deferred.fromCoroutine(self.authentication.authenticate_handshake(token))
            asking.addBoth(self._begin_requests)

    def _begin_requests(self, outcome: object) -> None:
        if isinstance(outcome, Failure):
            self._break(outcome)
            return
        self._working = False
        self._work()
        self._unpause()

    def _work(self) -> None:
        """Take up the requests that wait, if none is at work."""
        if self._working:
            return
        self._working = True
        self.outlet.free = None
        try:
            self._send_notifications()
            self._take_up()
        except Exception:  # noqa: BLE001  # errors of requests are answered; this is the lane, never silent
            self._break()

    def _resume(self, result: object) -> None:
        """What the request at work has waited for is there; a Failure if it failed."""
        try:
            answers = self._run(result)
            if answers is not None:
                self._reply(answers)
                self._take_up()
        except Exception:  # noqa: BLE001  # as above
            self._break()

    def _take_up(self) -> None:
        """Answer the requests that wait, one after the other, up to one that has to wait for something."""
        while (self._requests or self._ahead is not None) and self.writable:
            self._since = perf_counter()
            first = self._next()
            self._incoming = [first]
            if self._requests and is_post(first):
                self._join(first)
            answers = self._run(None)
            if answers is None:
                return  # _resume goes on
            self._reply(answers)
        self._working = False
        self._tell_idle()

    def _next(self) -> Incoming:
        """The first request that waits."""
        incoming, self._ahead = self._ahead, None
        if incoming is None:
            frame, self._form = self._requests.pop(0)
            self._request_bytes -= len(frame)
            incoming = envelope.read(frame, self._form, extended=self.extended)
            if self._node.rates is not None:
                self._heed_rates(self._node.rates, incoming)
        return incoming

    def _heed_rates(self, rates: Rates, incoming: Incoming) -> None:
        """Refuse a request that comes too fast. It counts for the project that it would be done in."""
        if self.identity is not None:
            project = self.identity.project
        elif self.authentication is None and incoming.headers is not None:
            project = incoming.headers.project_id
        else:  # nobody's: it costs no project anything, unless it turns out to be signed
            project = None
        incoming.failure = rates.refusal(self._bucket, project, self._since) or incoming.failure

    def _join(self, first: Incoming) -> None:
        """Take up the posts right behind a post that can be stored together with it."""
        while self._requests and len(self._incoming) < MAX_JOINED:
            following = self._next()
            if not goes_with(first, following):
                self._ahead = following
                return
            self._incoming.append(following)

    def _run(self, result: object) -> Sequence[Answer] | None:
        """Run what is at work until it is answered or has to wait (None), as Deferred.fromCoroutine does.

        That would make a Deferred, a context and some ten calls for each request.
        """
        try:
            if self._action is None:
                self._action = begin(self._node, self, self._incoming, self._since)
            if isinstance(result, Failure):
                waiting = result.throwExceptionIntoGenerator(self._action)
            else:
                waiting = self._action.send(result)
        except StopIteration as end:
            if len(self._incoming) == 1:
                return (end.value,)
            return [self._refuse(each) if isinstance(each, RequestError) else each for each in end.value]
        except RequestError as error:
            return [self._refuse(error)] * len(self._incoming)
        except Exception:  # noqa: BLE001  # a fault of ours costs this request, never another or the connection
            return [fault(self._node.metrics, self.id, self._count + 1)] * len(self._incoming)
        waiting.addBoth(self._resume)
        return None

    def _refuse(self, error: RequestError) -> Answer:
        return refusal(self._node.metrics, error, self.id, self._count + 1)

    def _reply(self, answers: Sequence[Answer]) -> None:
        done, self._incoming, self._action = self._incoming, [], None
        seconds = perf_counter() - self._since
        for incoming, (status, body) in zip(done, answers, strict=True):
            self._count += 1
            name = "invalid" if incoming.action is None else incoming.action.name
            self._node.metrics.request_done(name, status, seconds)
            if self._node.settings.log_level == "debug":  # structlog would first make the event
                log.debug("request", connection=self.id, request=self._count, action=name, status=status)
            if not self.closed:
                self._wire.send_frame(envelope.reply(incoming, status, body), incoming.form)
        if self.closed:
            return
        if self._paused:
            self._unpause()
        self._send_notifications()

    def _break(self, failure: Failure | None = None) -> None:
        self._incoming, self._action = [], None
        self._working = False
        log.error("session_failed", connection=self.id, failure=(failure or Failure()).getTraceback())
        self._tell_idle()
        self._wire.fail()

    def _tell_idle(self) -> None:
        if self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

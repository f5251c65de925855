"""One connected client: its requests one after the other, its notifications in between.

A request's way is here from end to end: frame, codec, schema, authorise, action, store, reply, codec, frame.
Requests of one socket are answered in the order in which they came. From when a request is taken up until its
reply is out, no notification is sent; those that wait go out before the next request is taken up.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.actions import ACTIONS
from gateway.actions.call import Answer, Call, Node
from gateway.actions.messages import message_posts
from gateway.auth.identity import Identity
from gateway.limits.rates import Rates
from gateway.logs import get_logger
from gateway.push.frames import kind_of, notice
from gateway.websocket.authentication import SocketAuthentication
from gateway.websocket.joined_posts import MAX_JOINED, goes_with, is_post
from gateway.websocket.wire import Wire
from protocol import envelope
from protocol.codec import Form
from protocol.envelope import Incoming
from protocol.errors import RequestError
from protocol.registry import ACTIONS as REGISTERED
from schemas.events import DrainingEvent, TokenExpiringEvent
from storage.records import Queue

MAX_WAITING_BYTES = 1_048_576
"""Bytes of notifications that may wait for a reply; beyond, subscriptions read from the queue later."""

AUTHENTICATE = REGISTERED["authenticate"]
"""The one action that nobody has to have authenticated for."""

RECONNECT_SPREAD = 5_000
"""Milliseconds over which the clients of a node that stops are asked to come back."""

log = get_logger(__name__)


class Session:
    """A client's requests, notifications and subscriptions.

    An `extended` one has agreed on protocol.extension, a `compressed` one takes compressed messages.
    `writable` is False while the socket's unsent bytes are over the transport's limit: then nothing is read,
    no request is taken up and no notification is accepted, so that a client that does not read costs bounded
    memory.
    """

    __slots__ = (
        "_action",
        "_ahead",
        "_bucket",
        "_count",
        "_finished",
        "_finishing",
        "_form",
        "_idle",
        "_incoming",
        "_node",
        "_notifications",
        "_paused",
        "_refused",
        "_request_bytes",
        "_requests",
        "_since",
        "_waiting_bytes",
        "_wire",
        "_working",
        "authentication",
        "closed",
        "compressed",
        "extended",
        "id",
        "identity",
        "outlet",
        "writable",
    )

    streamed = False

    def __init__(self, node: Node, wire: Wire, *, extended: bool, compressed: bool) -> None:
        self.id = str(uuid.uuid4())
        self.compressed = compressed
        self.extended = extended
        self._node = node
        self._wire = wire
        self.outlet = wire.outlet
        self._requests: list[tuple[bytes, Form]] = []
        self._notifications: list[bytes] = []
        self._waiting_bytes = 0
        self._request_bytes = 0
        self._working = False
        self._paused = False
        self._refused = False
        self._finishing = self._finished = False
        self.writable = True
        self.closed = False
        self._idle: Deferred[None] | None = None
        self._count = 0
        # The request at work, with those that are done together with it; and since when.
        self._incoming: list[Incoming] = []
        self._action: Any = None
        self._ahead: Incoming | None = None  # has been read to see whether it is one of those
        self._since = 0.0
        self._form = Form.JSON
        self.identity: Identity | None = None
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

    # Notifications

    def push(self, frame: bytes, at_once: bool = False) -> bool:
        """Send what `make_frame` made, once for all sockets that get it, in its turn.

        False: the socket takes no more now; this was not taken.
        """
        if self.closed or not self.writable or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._refused = True
            return False
        if self._working:
            self._notifications.append(frame)
            self._waiting_bytes += len(frame)
        elif at_once:
            self._wire.send_at_once(frame)
        else:
            self._wire.send_raw(frame)
        return True

    def tell(self, frame: bytes) -> None:
        """Send a notice in its turn, behind the notifications before it; few are made, so none is refused."""
        if self.closed:
            return
        if self._working:
            self._notifications.append(frame)
            self._waiting_bytes += len(frame)
        else:
            self._wire.send_raw(frame)

    def notify(self, event: DrainingEvent | TokenExpiringEvent) -> None:
        """Tell an event that concerns the whole socket, if it has agreed on protocol.extension."""
        if self.extended:
            self.tell(notice(event, kind_of(self._form, extended=True, compressed=False)))

    def may(self, action: str, queue: Queue) -> bool:
        """Whether who speaks is permitted an action on a queue."""
        return self._node.authorisation.permits(self.identity, action, queue.project, queue.name)

    def _send_notifications(self) -> None:
        if self._notifications:
            notifications, self._notifications = self._notifications, []
            for frame in notifications:
                self._wire.send_raw(frame)
            self._waiting_bytes = 0
        if self._refused and self.writable:
            self._refused = False
            self._node.hub.writable(self)
            self._node.consumers.writable(self)

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
                self._action = self._begin()
            if isinstance(result, Failure):
                waiting = result.throwExceptionIntoGenerator(self._action)
            else:
                waiting = self._action.send(result)
        except StopIteration as end:
            if len(self._incoming) == 1:
                return (end.value,)
            return [self._refusal(each) if isinstance(each, RequestError) else each for each in end.value]
        except RequestError as error:
            return [self._refusal(error)] * len(self._incoming)
        except Exception:  # noqa: BLE001  # a fault of ours costs this request, never another or the connection
            return [self._fault()] * len(self._incoming)
        waiting.addBoth(self._resume)
        return None

    def _begin(self) -> Any:
        """The coroutine of the action. Raises RequestError where the request is not in order."""
        incoming = self._incoming[0]
        if incoming.failure is not None:
            raise incoming.failure
        assert incoming.action is not None
        if incoming.action is not AUTHENTICATE:
            until = self._node.authorisation.check(self.identity, incoming)
            if until is not None:
                self._heed_signature(incoming, until)
        if len(self._incoming) > 1:
            return message_posts([Call(self._node, self, post) for post in self._incoming])
        envelope.check(incoming)
        return ACTIONS[incoming.action.name](Call(self._node, self, incoming))

    def _heed_signature(self, incoming: Incoming, until: float) -> None:
        """A signature permits the request, which counts for the project that has signed. RequestError."""
        assert incoming.headers is not None
        project, rates = incoming.headers.project_id, self._node.rates
        if self.authentication is not None:
            self.authentication.signed(project, until)
        refusal = None if rates is None else rates.refusal(None, project, self._since)
        if refusal is not None:
            raise refusal

    def _refusal(self, error: RequestError) -> Answer:
        if error.limit:
            self._node.metrics.refused(error.limit)
        if error.status >= 500:
            self._node.metrics.store_failed(error.code)
            log.warning(
                "request_failed",
                connection=self.id,
                request=self._count + 1,
                code=error.code,
                reason=str(error),
            )
        return error.status, error.body()

    def _fault(self) -> Answer:
        log.exception("request_broke", connection=self.id, request=self._count + 1)
        fault = RequestError("The gateway failed on this request.", error="Unexpected error.")
        self._node.metrics.store_failed(fault.code)
        return fault.status, fault.body()

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
        if self._paused and not self._finishing and not self._has_enough():
            self._paused = False
            self._read_on()
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

    @property
    def subscriber(self) -> str:
        """How this socket's subscriptions show (protocol.md section 4)."""
        return f"{self._node.notification_url}{self.id}"

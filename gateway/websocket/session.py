"""One connected client: its requests one after the other, its notifications in between.

A request's way is here from end to end: frame, codec, schema, authorise, action, store, reply, codec, frame.
Requests of one socket are answered in the order in which they came. From when a request is taken up until its
reply is out, no notification is sent; those that wait go out before the next request is taken up.
"""

from __future__ import annotations

import uuid
from collections import deque
from time import perf_counter
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.actions import ACTIONS
from gateway.actions.call import Call, Node, authorise
from gateway.logs import get_logger
from protocol import envelope
from protocol.codec import Form
from protocol.envelope import Incoming
from protocol.errors import RequestError

MAX_WAITING_BYTES = 1_048_576
"""Bytes of notifications that may wait for a reply; beyond, subscriptions read from the queue later."""

log = get_logger(__name__)


class Wire(Protocol):
    """The socket under a session."""

    def send_frame(self, frame: bytes, form: Form) -> None:
        """Send one message."""

    def pause_reading(self) -> None:
        """Read nothing more from the socket."""

    def resume_reading(self) -> None:
        """Read on."""

    def fail(self) -> None:
        """Close: the session cannot go on."""


class Session:
    """A client's requests, notifications and subscriptions.

    `writable` is False while the socket's unsent bytes are over the transport's limit: then no request is
    taken up and no notification is accepted, so that a client that does not read costs bounded memory.
    """

    def __init__(self, node: Node, wire: Wire) -> None:
        self.id = str(uuid.uuid4())
        self._node = node
        self._wire = wire
        self._requests: deque[tuple[bytes, Form]] = deque()
        self._notifications: deque[tuple[bytes, Form]] = deque()
        self._waiting_bytes = 0
        self._request_bytes = 0
        self._working = False
        self._paused = False
        self._refused = False
        self._finishing = self._finished = False
        self.writable = True
        self.closed = False
        self._idle: list[Deferred[None]] = []
        self._count = 0

    # What the socket tells

    def receive(self, frame: bytes, form: Form) -> None:
        """A frame came in."""
        if self._finished:
            return
        self._requests.append((frame, form))
        self._request_bytes += len(frame)
        if self._has_enough() and not self._paused:
            self._paused = True
            self._wire.pause_reading()
        self._work()

    def _has_enough(self) -> bool:
        settings = self._node.settings
        return (
            len(self._requests) >= settings.max_requests_in_flight
            or self._request_bytes >= settings.max_frame_bytes
        )

    def set_writable(self, writable: bool) -> None:
        """The socket's unsent bytes passed the transport's limit, or fell below it."""
        self.writable = writable
        if writable:
            self._work()

    def close(self) -> None:
        """The socket is closed: what waits is dropped, its subscriptions end."""
        self.closed = True
        self._requests.clear()
        self._notifications.clear()
        self._node.hub.closed(self)
        self._tell_idle()

    async def finish(self) -> None:
        """Answer the requests that have come, and take no more."""
        self._finishing = True
        self._wire.pause_reading()
        if self._working:
            waiting: Deferred[None] = Deferred()
            self._idle.append(waiting)
            await waiting
        self._finished = True
        self._wire.resume_reading()  # or the client's own close would never be read

    # Notifications

    def push(self, frame: bytes, form: Form) -> bool:
        """Send a notification in its turn. False: the socket takes no more now; this was not taken."""
        if self.closed or not self.writable or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._refused = True
            return False
        if self._working:
            self._notifications.append((frame, form))
            self._waiting_bytes += len(frame)
        else:
            self._wire.send_frame(frame, form)
        return True

    def _send_notifications(self) -> None:
        while self._notifications:
            self._wire.send_frame(*self._notifications.popleft())
        self._waiting_bytes = 0
        if self._refused and self.writable:
            self._refused = False
            self._node.hub.writable(self)

    # Requests

    def _work(self) -> None:
        if not self._working:
            self._working = True
            working = Deferred.fromCoroutine(self._serve())
            working.addErrback(self._broken)

    async def _serve(self) -> None:
        try:
            self._send_notifications()
            while self._requests and self.writable:
                frame, form = self._requests.popleft()
                self._request_bytes -= len(frame)
                reply = await self._answer(frame, form)
                if self.closed:
                    break
                self._wire.send_frame(reply, form)
                if self._paused and not self._finishing and not self._has_enough():
                    self._paused = False
                    self._wire.resume_reading()
                self._send_notifications()
        finally:
            self._working = False
            self._tell_idle()

    def _broken(self, failure: Failure) -> None:
        # Errors of requests are answered in _answer; this is the lane itself, and it must not stay silent.
        log.error("session_failed", connection=self.id, failure=failure.getTraceback())
        self._wire.fail()

    def _tell_idle(self) -> None:
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)

    async def _answer(self, frame: bytes, form: Form) -> bytes:
        started = perf_counter()
        self._count += 1
        incoming = envelope.read(frame, form)
        status, body = await self._do(incoming)
        name = "invalid" if incoming.action is None else incoming.action.name
        self._node.metrics.request_done(name, status, perf_counter() - started)
        log.debug("request", connection=self.id, request=self._count, action=name, status=status)
        return envelope.reply(incoming, status, body)

    async def _do(self, incoming: Incoming) -> tuple[int, Any]:
        try:
            if incoming.failure is not None:
                raise incoming.failure
            assert incoming.action is not None
            authorise(self._node, incoming.action)
            envelope.check(incoming)
            return await ACTIONS[incoming.action.name](Call(self._node, self, incoming))
        except RequestError as error:
            if error.status >= 500:
                self._node.metrics.store_failed(error.code)
                log.warning(
                    "request_failed",
                    connection=self.id,
                    request=self._count,
                    code=error.code,
                    reason=str(error),
                )
            return error.status, error.body()
        # A fault of ours must cost this request only, never the connection or another client.
        except Exception:
            log.exception("request_broke", connection=self.id, request=self._count)
            fault = RequestError("The gateway failed on this request.", error="Unexpected error.")
            self._node.metrics.store_failed(fault.code)
            return fault.status, fault.body()

    @property
    def subscriber(self) -> str:
        """How this socket's subscriptions show (protocol.md section 4)."""
        return f"{self._node.notification_url}{self.id}"

"""One answer that does not end: who reads it is subscribed to one queue (docs/events.md)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from gateway.actions.call import Node
from gateway.auth.authenticator import Authenticator
from gateway.auth.identity import Identity
from gateway.logs import get_logger
from gateway.push.frames import STREAMED, notice
from gateway.websocket.authentication import SocketAuthentication
from gateway.websocket.outlet import Outlet
from gateway.websocket.session import RECONNECT_SPREAD
from gateway.websocket.silence import is_lost
from protocol.close_codes import AUTHENTICATION_EXPIRED
from protocol.event_stream import COMMENT
from schemas.events import DrainingEvent, TokenExpiredEvent, TokenExpiringEvent
from storage.records import Queue

MAX_EARLY_BYTES: Final = 65_536
"""Bytes of notifications that may wait for the answer to begin."""

_ENDED: Final = b"event: subscription_ended\n"

log = get_logger(__name__)


@implementer(IPushProducer)
class EventStream:
    """A client that is subscribed to one queue, and takes what comes as server-sent events.

    As a socket it takes nothing that is too much: a slow reader costs bounded memory, and gets the rest from
    the queue. It ends with its subscription, with what lets its client speak, and with the node.

    :param on_closed: is told that it has ended, whoever has ended it.
    """

    outlet = Outlet(None)
    """Never free: an answer is more than what is written into it."""
    extended = True
    compressed = False
    streamed = True

    def __init__(self, node: Node, request: Request, on_closed: Callable[[EventStream], None]) -> None:
        self.id = str(uuid.uuid4())
        self.closed = False
        self.identity: Identity | None = None
        self.authentication: SocketAuthentication | None = None
        self._node = node
        self._request = request
        self._on_closed = on_closed
        self._early: list[bytes] | None = []
        """What came before the answer has begun; None: it has."""
        self._early_bytes = 0
        self._writable = True
        self._refused = False
        self._signed_until: Callable[[], float | None] | None = None
        self._timer: IDelayedCall | None = None

    # Who reads it

    def authenticate(
        self,
        authenticator: Authenticator,
        identity: Identity | None,
        project: str,
        until: float | None,
        signed_until: Callable[[], float | None],
    ) -> None:
        """Count it for a project, and end it when who reads it may do so no longer. TooManySockets.

        :param identity: whom the token of the request speaks for; None: a signature permits the request.
        :param until: when that expires, in seconds since the epoch.
        :param signed_until: tells that anew; None: the signature is accepted no longer.
        """
        self.authentication = SocketAuthentication(self._node, authenticator, self, self)
        if identity is not None:
            self.authentication.accept(identity)
        elif until is not None:
            self._signed_until = signed_until
            self.authentication.signed(project, until)

    def limit_frames(self, limit: int | None) -> None:
        """It sends none."""

    def notify(self, event: TokenExpiringEvent) -> None:
        """Tell an event that concerns more than the subscription."""
        self.tell(notice(event, STREAMED))

    def end(self, code: int, reason: str) -> None:
        """End it, as a socket is closed with a code of protocol.close_codes."""
        if code == AUTHENTICATION_EXPIRED:
            self.tell(notice(TokenExpiredEvent(), STREAMED))
        self._finish()

    # As a subscriber

    @property
    def subscriber(self) -> str:
        """How its subscription shows: as that of a socket."""
        return f"{self._node.notification_url}{self.id}"

    def may(self, action: str, queue: Queue) -> bool:
        """Whether who reads it is permitted an action on a queue; with a good signature, all that it does."""
        if self._signed_until is not None:
            return self._signed_until() is not None
        return self._node.authorisation.permits(self.identity, action, queue.project, queue.name)

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        """Send events that were made for all streams. False: it takes no more now; nothing was taken."""
        if self.closed or not self._writable or self._early_bytes > MAX_EARLY_BYTES:
            self._refused = True
            return False
        self._send(frames)
        return True

    def tell(self, frame: bytes) -> None:
        """Send a notice. The last one is that the subscription has ended."""
        if not self.closed:
            self._send(frame)
            if frame.startswith(_ENDED):
                self._finish()

    # Life

    def begin(self, head: bytes) -> None:
        """Begin with these events; what came before follows."""
        early, self._early = self._early or [], None
        self._early_bytes = 0
        request = cast(Any, self._request)
        request.registerProducer(self, True)
        request.write(head + b"".join(early))
        if self.closed:  # in this moment
            self._end_answer()
            return
        log.info("stream_opened", stream=self.id)
        request.channel.transport.setTcpKeepAlive(True)
        self._comment_later()
        self._read_on()

    def drain(self) -> None:
        """The node stops: have the client come back after a while, and end."""
        wait = random.randrange(RECONNECT_SPREAD)
        self.tell(notice(DrainingEvent(reconnect_after_ms=wait), STREAMED, retry=wait))
        cast(Any, self._request.channel).persistent = False
        self._finish()

    def close(self) -> None:
        """The client has gone, or the stream ends: so does the subscription."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.authentication is not None:
            self.authentication.close()
            self.authentication = None
        self._node.hub.closed(self)
        self._on_closed(self)
        if self._early is None:
            log.info("stream_closed", stream=self.id)

    def _finish(self) -> None:
        if not self.closed:
            self.close()
            if self._early is None:
                self._end_answer()

    def _end_answer(self) -> None:
        request = cast(Any, self._request)
        request.unregisterProducer()
        request.finish()

    def _send(self, frames: bytes) -> None:
        if self._early is None:
            cast(Any, self._request).write(frames)
        else:
            self._early.append(frames)
            self._early_bytes += len(frames)

    def _comment_later(self) -> None:
        # Twice as often as a socket is pinged: proxies give up on an answer sooner.
        interval = self._node.settings.ping_interval / 2
        if interval:
            self._timer = self._node.reactor.callLater(interval, self._comment)

    def _comment(self) -> None:
        self._timer = None
        transport = cast(Any, self._request.channel).transport
        patience = self._node.settings.ping_timeout
        if patience and is_lost(transport, patience):
            log.info("stream_silent", stream=self.id)
            transport.abortConnection()
            return
        if self._writable:
            self._send(COMMENT)
        self._comment_later()

    # IPushProducer, for the transport

    def pauseProducing(self) -> None:
        """The unsent bytes have passed the transport's limit."""
        self._writable = False

    def resumeProducing(self) -> None:
        """They have been sent."""
        self._writable = True
        self._read_on()

    def stopProducing(self) -> None:
        """The connection is lost; `close` follows."""

    def _read_on(self) -> None:
        """Have the subscription read from the queue what was not taken."""
        if self._refused and self._writable and not self.closed:
            self._refused = False
            self._node.hub.writable(self)

"""One connected client as push sees it: it takes notifications and notices, in their turn."""

from __future__ import annotations

import uuid

from gateway.actions.call import Node
from gateway.auth.identity import Identity
from gateway.push.frames import kind_of, notice
from gateway.websocket.wire import Wire
from protocol.codec import Form
from schemas.events import DrainingEvent, TokenExpiringEvent
from storage.records import Queue

MAX_WAITING_BYTES = 1_048_576
"""Bytes of notifications that may wait for a reply; beyond, subscriptions read from the queue later."""


class SocketSink:
    """A socket's notifications (gateway.push.subscriber.Sink). While a request is at work, they wait.

    An `extended` one has agreed on protocol.extension, a `compressed` one takes compressed messages.
    `writable` is False while the socket's unsent bytes are over the transport's limit: then no notification
    is accepted, so that a client that does not read costs bounded memory.
    """

    __slots__ = (
        "_form",
        "_node",
        "_notifications",
        "_refused",
        "_waiting_bytes",
        "_wire",
        "_working",
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
        self._notifications: list[bytes] = []
        self._waiting_bytes = 0
        self._working = False
        self._refused = False
        self.writable = True
        self.closed = False
        self._form = Form.JSON
        self.identity: Identity | None = None

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

    @property
    def subscriber(self) -> str:
        """How this socket's subscriptions show (protocol.md section 4)."""
        return f"{self._node.notification_url}{self.id}"

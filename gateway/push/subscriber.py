"""One subscription of one socket."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from gateway.push.frames import STREAMED, is_extended, kind_of, notice
from gateway.websocket.outlet import Outlet
from protocol.body import Form
from storage.records import Queue


class Sink(Protocol):
    """A socket or an event stream, as far as push is concerned."""

    outlet: Outlet
    closed: bool
    extended: bool
    """Whether it has agreed on protocol.extension."""
    compressed: bool
    """Whether it takes compressed messages."""
    streamed: bool
    """Whether it is an event stream and no WebSocket: it takes what is of the kind STREAMED."""

    @property
    def subscriber(self) -> str:
        """How its subscriptions show; empty: it cannot have any."""

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        """Send notifications, framed by gateway.websocket.frames, in their turn.

        `at_once`: in this turn of the reactor there will be no more for it to be sent together with.
        False: the socket takes no more now; nothing was taken.
        """

    def may(self, action: str, queue: Queue) -> bool:
        """Whether who speaks on it is permitted an action on a queue."""

    def tell(self, frame: bytes) -> None:
        """Send a notice in its turn, whatever the socket takes now: there are few of them."""


class Subscriber:
    """Where one subscription stands: `position` is that of the last message that its socket took."""

    __slots__ = (
        "behind",
        "form",
        "kind",
        "outlet",
        "position",
        "reading",
        "sequence",
        "sink",
        "timeline",
        "told_behind",
    )

    def __init__(
        self, sink: Sink, sequence: int, form: Form, position: int | None = None, timeline: bytes = b""
    ) -> None:
        """`position`: what it has got already; None: all that was there when it was made."""
        self.sink = sink
        self.outlet = sink.outlet
        self.sequence = sequence
        self.form = form
        extended, compressed = sink.extended, sink.compressed
        self.kind = STREAMED if sink.streamed else kind_of(form, extended=extended, compressed=compressed)
        # The sequence comes from the queue's own counter, so it stands between the messages before and after.
        self.position = sequence if position is None else position
        self.timeline = timeline
        """That of the queue when it was made, if its position is of that one."""
        self.behind = False
        """Whether the feed has pushed what it has not got: gateway.push.replays reads that for it."""
        self.reading = False
        self.told_behind = False
        """Whether its socket was told that it is behind, and not yet that it has caught up."""

    def tell(self, event: Struct) -> None:
        """Tell its socket an event (schemas.events.EVENTS), if that has agreed on protocol.extension."""
        if is_extended(self.kind) and not self.sink.closed:
            self.sink.tell(notice(event, self.kind))

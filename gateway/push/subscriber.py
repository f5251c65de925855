"""One subscription of one socket."""

from __future__ import annotations

from typing import Protocol

from protocol.body import Form


class Sink(Protocol):
    """A socket, as far as push is concerned."""

    closed: bool

    def push(self, frames: bytes) -> bool:
        """Send notifications, framed by gateway.websocket.frames, in their turn.

        False: the socket takes no more now; nothing was taken.
        """


class Subscriber:
    """Where one subscription stands: `position` is that of the last message that its socket took."""

    __slots__ = ("form", "position", "reading", "sequence", "sink")

    def __init__(self, sink: Sink, sequence: int, form: Form) -> None:
        self.sink = sink
        self.sequence = sequence
        self.form = form
        # The sequence comes from the queue's own counter, so it stands between the messages before and after.
        self.position = sequence
        self.reading = False

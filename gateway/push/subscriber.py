"""One subscription of one socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from protocol.body import Form


class Sink(Protocol):
    """A socket, as far as push is concerned."""

    closed: bool

    @property
    def subscriber(self) -> str:
        """How its subscriptions show."""

    def push(self, frames: bytes) -> bool:
        """Send notifications, framed by gateway.websocket.frames, in their turn.

        False: the socket takes no more now; nothing was taken.
        """


class Subscriber:
    """Where one subscription stands: `position` is that of the last message that its socket took.

    `ttl` and `options` are those that it was made with.
    """

    __slots__ = ("form", "options", "position", "reading", "sequence", "sink", "ttl")

    def __init__(self, sink: Sink, sequence: int, form: Form, ttl: int, options: Mapping[str, Any]) -> None:
        self.sink = sink
        self.sequence = sequence
        self.form = form
        self.ttl = ttl
        self.options = options
        # The sequence comes from the queue's own counter, so it stands between the messages before and after.
        self.position = sequence
        self.reading = False

"""What a session needs of the socket under it."""

from __future__ import annotations

from typing import Protocol

from gateway.websocket.outlet import Outlet
from protocol.codec import Form


class Wire(Protocol):
    """The socket under a session."""

    outlet: Outlet
    """Its way out for notifications, which the session blocks while a request is at work."""

    def send_frame(self, frame: bytes, form: Form) -> None:
        """Send one message."""

    def send_raw(self, frame: bytes) -> None:
        """Send one message that `make_frame` has framed."""

    def send_at_once(self, frames: bytes) -> None:
        """The same with one or more messages, to which nothing will be added in this turn of the reactor."""

    def pause_reading(self) -> None:
        """Read nothing more from the socket; what has come already waits as well."""

    def resume_reading(self) -> None:
        """Read on."""

    def limit_frames(self, limit: int | None) -> None:
        """Close at messages of more bytes than that, with 1009; None: than the node takes."""

    def close(self, code: int, reason: str) -> None:
        """Close with a code of protocol.close_codes."""

    def fail(self) -> None:
        """Close: the session cannot go on."""

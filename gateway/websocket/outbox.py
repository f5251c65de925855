"""What sockets have to send leaves at the end of the reactor's turn, each socket's in one piece."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.logs import get_logger
from storage.sending import at_turn_end

log = get_logger(__name__)


class Sender(Protocol):
    """A socket that gathers what it has to send."""

    def flush(self) -> None:
        """Send it."""

    def abort(self) -> None:
        """End the connection at once."""


class Outbox:
    """The sockets that have something to send in this turn of the reactor."""

    __slots__ = ("_reactor", "_senders")

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._senders: list[Sender] = []

    def add(self, sender: Sender) -> None:
        """Have `sender.flush` called at the end of this turn. A socket adds itself once in a turn."""
        if not self._senders:
            at_turn_end(self._reactor, self._flush)
        self._senders.append(sender)

    def _flush(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            try:
                sender.flush()
            # Whatever it is, it must cost this socket only: others wait behind it.
            except Exception:
                log.exception("send_failed")
                sender.abort()

"""What the comparisons ask of a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from bench.server import Server

MARK = "#bench#"
"""Stands in every message that is posted, once: the load counts messages by it."""

BODY = MARK + "x" * (98 - len(MARK))
"""A message of 100 bytes, with the quotation marks that JSON puts around it."""


class Missing(Exception):
    """A server cannot be had here. The message says why."""


class Peer(ABC):
    """One server. A method that gives options of the load gives None for what the server does not do."""

    name: str

    @abstractmethod
    def version(self) -> str:
        """The name and version of what would be started. Raises `Missing`."""

    @abstractmethod
    def start(self, folder: Path) -> Server:
        """Start it on loopback, with all its files in `folder`. Raises `ServerError`."""

    def post(self) -> list[str] | None:
        """Posts of one message of 100 bytes, each stored and answered."""
        return None

    @abstractmethod
    def subscribe(self) -> list[str]:
        """Sockets that are subscribed to one queue, subject or channel."""

    @abstractmethod
    def publish(self, messages: int) -> list[str]:
        """Subscribed sockets, and one more that publishes so many messages in one piece."""

    def over_rest(self) -> Peer | None:
        """The server as it serves Zaqar's REST API; None: it does not."""
        return None

    def with_webhooks(self) -> Peer | None:
        """The server as it delivers to webhooks on loopback, too, if it serves that API."""
        return self.over_rest()

    def rate(self, wanted: float) -> float:
        """The posts per second that it can take of those wanted, pushed to 100 subscribers."""
        return wanted

    def sockets(self, wanted: int) -> int:
        """The subscribed sockets that it can take of those wanted, in reasonable time."""
        return wanted


def exchange(option: str, frame: str, expected: str, count: int = 1) -> list[str]:
    """Options of the load: a frame, and the text that has to come back so often."""
    return [option, frame, "--expect", f"{count}:{expected}"]


def repeated(frame: str, count: int) -> Sequence[str]:
    """Options of the load: a frame that is published so often in one piece."""
    return ["--publish", frame] * count

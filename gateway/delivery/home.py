"""What a courier knows of the queue that it delivers for."""

from __future__ import annotations

from typing import Protocol

from storage.base import MessageStore
from storage.records import Queue


class Home(Protocol):
    """The queue whose messages are delivered."""

    owner: bytes
    """The token by which the store knows who delivers."""
    target: int
    """The newest position in the queue that is known of."""

    @property
    def queue(self) -> Queue:
        """As it is known."""

    @property
    def store(self) -> MessageStore:
        """Where the queue is."""

    @property
    def holds(self) -> bool:
        """Whether this node may deliver now."""

    async def current(self) -> Queue:
        """The queue with its metadata as they are now."""

    def refused(self, sequence: int) -> None:
        """The store did not take what was told of a subscription: it has gone, or another node delivers."""

    def stale(self) -> None:
        """The queue is not in the store any more."""

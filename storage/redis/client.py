"""Clients of one server; and what clients of any topology offer: the store's commands and announcements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from storage.redis.connection import EventConnection, Reply, StoreConnection
from storage.redis.link import Link, Target
from storage.redis.refusals import Demoted, refusal
from storage.redis.slots import key_slot

Argument = bytes | str | int


class StoreClient(ABC):
    """Commands to a store, each sent to where its key is."""

    @abstractmethod
    def start(self) -> None:
        """Begin to connect, and to reconnect whenever a connection breaks."""

    @abstractmethod
    async def stop(self) -> None:
        """Close the connections for good. Commands under way fail."""

    @abstractmethod
    async def connected(self, timeout: float, key: bytes | None = None) -> None:
        """Wait until a command for `key` can be sent, or any; StoreUnavailable after `timeout` seconds."""

    @abstractmethod
    async def send(
        self, key: bytes, *command: Argument, with_timeline: bool = False
    ) -> tuple[Reply, StoreConnection]:
        """Send a command to where its key is; its answer, and the connection that it came on.

        :param with_timeline: behind it goes the timeline of the server that it is sent to.

        Raises StoreUnavailable if there is no connection, OutcomeUnknown if it breaks before the answer, and
        what stands for the server's refusal.
        """

    @abstractmethod
    def primaries(self) -> Sequence[ServerClient]:
        """The servers that take writes."""

    async def execute(self, *command: Argument, key: bytes = b"") -> Reply:
        """The answer alone. A command without a key goes to any server."""
        return (await self.send(key, *command))[0]


class EventClient(ABC):
    """Listens to a store's sharded channels, each where it is announced."""

    @abstractmethod
    def start(self) -> None:
        """Begin to connect, and to reconnect whenever a connection breaks."""

    @abstractmethod
    async def stop(self) -> None:
        """Close the connections for good."""

    @abstractmethod
    def listen(self, channel: bytes) -> None:
        """Listen to a channel, now and after every new connection; `on_listening` tells each time."""

    @abstractmethod
    def leave(self, channel: bytes) -> None:
        """Listen no longer."""


def _nothing() -> None:
    """Nobody wants to know."""


class ServerClient(StoreClient):
    """Commands to one server: the only one, a service's primary, or one of a cluster."""

    def __init__(
        self, reactor: Any, target: Target, timeout: float, on_change: Callable[[], None] = _nothing
    ) -> None:
        self._target = target
        self.link = Link(reactor, target, lambda: StoreConnection(reactor, timeout), on_change)

    def start(self) -> None:
        self.link.start()

    async def stop(self) -> None:
        await self.link.stop()

    async def connected(self, timeout: float, key: bytes | None = None) -> None:
        await self.link.connected(timeout)

    async def send(
        self, key: bytes, *command: Argument, with_timeline: bool = False, asking: bool = False
    ) -> tuple[Reply, StoreConnection]:
        connection = self.link.connection or self.link.now()
        if asking:  # counts for the command that follows; if it fails, that does too
            connection.send("ASKING").addBoth(lambda _: None)
        if with_timeline:
            command = (*command, connection.timeline)
        reply = await connection.send(*command)
        if isinstance(reply, hiredis.ReplyError):
            error = refusal(reply)
            if isinstance(error, Demoted):
                self._target.demoted()
            raise error
        return reply, connection

    def primaries(self) -> Sequence[ServerClient]:
        return [self]


class ServerEvents(EventClient):
    """Listens to one server.

    `on_moved` is told a slot whose channels the server announces no longer, or has refused to. What belongs
    to a slot that moved is not listened to any more.
    """

    def __init__(
        self,
        reactor: Any,
        target: Target,
        timeout: float,
        on_event: Callable[[bytes, bytes], None],
        on_listening: Callable[[bytes], None],
        *,
        on_moved: Callable[[int], None] = lambda slot: None,
        on_change: Callable[[], None] = _nothing,
    ) -> None:
        self.channels: set[bytes] = set()
        self._on_moved = on_moved
        self._on_change = on_change

        def build() -> EventConnection:
            return EventConnection(reactor, timeout, on_event, on_listening, self._moved)

        self.link: Link[EventConnection] = Link(reactor, target, build, self._changed)

    def start(self) -> None:
        self.link.start()

    async def stop(self) -> None:
        await self.link.stop()

    def listen(self, channel: bytes) -> None:
        self.channels.add(channel)
        if self.link.connection is not None:
            self.link.connection.listen(channel)

    def leave(self, channel: bytes) -> None:
        self.channels.discard(channel)
        if self.link.connection is not None:
            self.link.connection.leave(channel)

    def _changed(self) -> None:
        if self.link.connection is not None:
            for channel in self.channels:
                self.link.connection.listen(channel)
        self._on_change()

    def _moved(self, slot: int) -> None:
        self.channels = {channel for channel in self.channels if key_slot(channel) != slot}
        self._on_moved(slot)

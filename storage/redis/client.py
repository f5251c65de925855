"""A client that stays connected: where the server is, how to greet it, and what its refusals mean."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import hiredis
from redis.connection import SSLConnection, parse_url
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python.failure import Failure

from protocol.errors import Unavailable
from storage.errors import (
    StaleQueue,
    StoreBusy,
    StoreFailed,
    StoreFull,
    StoreLoading,
    StoreReadOnly,
    StoreUnavailable,
)
from storage.redis.connection import EventConnection, Reply, StoreConnection

log = Logger()

CONNECT_TIMEOUT = 5
"""Seconds to wait for a connection to be made."""

RECONNECT = backoffPolicy(initialDelay=0.05, maxDelay=2.0, factor=1.6, jitter=lambda: random.uniform(0, 0.05))
"""Pauses between attempts: from 80 ms to 2 s, and up to 50 ms more, so that nodes do not come all at once."""


class ScriptUnknown(StoreFailed):
    """The server does not have the script: it is new, was restarted, or was told to forget (SCRIPT FLUSH)."""


REFUSED_PAUSE = 1.0
"""Seconds until a connection whose greeting was refused is made anew."""

_REFUSALS: dict[str, Callable[[str], Exception]] = {
    "STALE": StaleQueue,
    "NOSCRIPT": ScriptUnknown,
    "OOM": lambda _: StoreFull(
        "The message store's memory is full: it takes nothing new until messages are deleted."
    ),
    "READONLY": lambda _: StoreReadOnly("The message store is a read-only replica."),
    "MISCONF": lambda _: StoreReadOnly("The message store cannot write to its disk."),
    "NOREPLICAS": lambda _: StoreReadOnly("The message store has too few replicas to take writes."),
    "MASTERDOWN": lambda _: StoreReadOnly("The message store is a replica without its primary."),
    "LOADING": lambda _: StoreLoading("The message store is still loading its data."),
    "BUSY": lambda _: StoreBusy("The message store is busy with a long script."),
}


def refusal(reply: hiredis.ReplyError) -> Exception:
    """The error that stands for an error reply of the server."""
    word = str(reply).split(" ", 1)[0]
    known = _REFUSALS.get(word)
    return StoreFailed(f"The message store refused: {reply}") if known is None else known(str(reply))


class Address:
    """Where a server is and how it is greeted, from a URL: redis://, rediss:// or unix://."""

    def __init__(self, url: str, reactor: Any) -> None:
        parts = parse_url(url)
        self.endpoint: IStreamClientEndpoint
        if "path" in parts:
            self.endpoint = UNIXClientEndpoint(reactor, parts["path"], timeout=CONNECT_TIMEOUT)
        else:
            host = parts.get("host", "localhost")
            self.endpoint = TCP4ClientEndpoint(
                reactor, host, parts.get("port", 6379), timeout=CONNECT_TIMEOUT
            )
            if parts.get("connection_class") is SSLConnection:
                self.endpoint = wrapClientTLS(optionsForClientTLS(host), self.endpoint)
        self.greeting: list[tuple[bytes | str | int, ...]] = []
        if parts.get("password") is not None:
            self.greeting.append(("AUTH", parts.get("username") or "default", parts["password"]))
        if parts.get("db"):
            self.greeting.append(("SELECT", parts["db"]))


Connection = TypeVar("Connection", StoreConnection, EventConnection)


class _Factory(Factory):
    noisy = False

    def __init__(self, build: Callable[[], Protocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._build()


class _Service(Generic[Connection]):
    """Keeps one connection of a kind, greeted, made anew whenever it breaks."""

    def __init__(
        self,
        reactor: Any,
        url: str,
        build: Callable[[], Connection],
        on_connected: Callable[[Connection], None] | None = None,
    ) -> None:
        self._reactor = reactor
        address = Address(url, reactor)
        self._greeting = address.greeting
        self._on_connected: Callable[[Connection], None] | None = on_connected
        self.connection: Connection | None = None
        self._waiting: set[Deferred[Connection]] = set()
        self._why = ""
        self.number = 0

        def build_tied() -> Connection:
            connection = build()
            connection.on_made = lambda: self._made(connection)
            connection.on_closed = self._closed
            return connection

        # Not prepareConnection: in this Twisted, one that fails leaves the service confused.
        self._service = ClientService(
            address.endpoint, _Factory(build_tied), retryPolicy=RECONNECT, clock=reactor
        )

    def _made(self, connection: Connection) -> None:
        greeted: Deferred[None] = Deferred.fromCoroutine(self._greet(connection))
        greeted.addErrback(self._refused, connection)

    async def _greet(self, connection: Connection) -> None:
        for command in self._greeting:
            reply = await connection.send(*command)
            if isinstance(reply, hiredis.ReplyError):
                raise refusal(reply)
        self.connection, self._why = connection, ""
        self.number += 1
        if self._on_connected is not None:
            self._on_connected(connection)
        for waiting in list(self._waiting):
            waiting.callback(connection)

    def _refused(self, failure: Failure, connection: Connection) -> None:
        """The server did not take the greeting, or the connection broke meanwhile."""
        if failure.check(Unavailable) is None:
            log.failure("greeting a store failed", failure)
        self._why = f" {failure.getErrorMessage()}"
        self._reactor.callLater(REFUSED_PAUSE, connection.abort)

    def _closed(self) -> None:
        # The next one is made only after this.
        self.connection = None

    def start(self) -> None:
        self._service.startService()

    async def connected(self, timeout: float) -> Connection:
        """The connection as soon as there is one; StoreUnavailable after `timeout` seconds."""
        if self.connection is not None:
            return self.connection
        # Not whenConnected(): where a connection has just broken, that still gives the broken one.
        waiting: Deferred[Connection] = Deferred()
        self._waiting.add(waiting)
        try:
            return await waiting.addTimeout(timeout, self._reactor)
        except (TimeoutError, CancelledError):
            raise StoreUnavailable(f"There is no connection to the message store.{self._why}") from None
        finally:
            self._waiting.discard(waiting)

    async def stop(self) -> None:
        for waiting in list(self._waiting):
            waiting.cancel()
        await self._service.stopService()


class StoreClient:
    """Commands to one server."""

    def __init__(self, reactor: Any, url: str, timeout: float) -> None:
        self._timeout = timeout
        self._service = _Service(reactor, url, lambda: StoreConnection(reactor, timeout))

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever the connection breaks."""
        self._service.start()

    async def connected(self, timeout: float) -> None:
        """Wait for a connection, `timeout` seconds at the most; then StoreUnavailable."""
        await self._service.connected(timeout)

    async def stop(self) -> None:
        """Close the connection for good. Commands under way fail."""
        await self._service.stop()

    @property
    def connection_number(self) -> int:
        """Tells connections apart: each new one has another number."""
        return self._service.number

    async def execute(self, *command: bytes | str | int) -> Reply:
        """Send a command and return its answer.

        Raises StoreUnavailable if there is no connection, OutcomeUnknown if it breaks before the answer, and
        what stands for the server's refusal.
        """
        connection = self._service.connection
        if connection is None:
            raise StoreUnavailable("There is no connection to the message store.")
        reply = await connection.send(*command)
        if isinstance(reply, hiredis.ReplyError):
            raise refusal(reply)
        return reply


class EventClient:
    """Listens to the sharded channels of one server."""

    def __init__(
        self,
        reactor: Any,
        url: str,
        timeout: float,
        on_event: Callable[[bytes, bytes], None],
        on_listening: Callable[[bytes], None],
    ) -> None:
        self._channels: set[bytes] = set()
        self._service = _Service(
            reactor,
            url,
            lambda: EventConnection(reactor, timeout, on_event, on_listening),
            self._listen_again,
        )

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever the connection breaks."""
        self._service.start()

    async def stop(self) -> None:
        """Close the connection for good."""
        await self._service.stop()

    def _listen_again(self, connection: EventConnection) -> None:
        for channel in self._channels:
            connection.listen(channel)

    def listen(self, channel: bytes) -> None:
        """Listen to a channel, now and after every new connection; `on_listening` tells each time."""
        self._channels.add(channel)
        if self._service.connection is not None:
            self._service.connection.listen(channel)

    def leave(self, channel: bytes) -> None:
        """Listen no longer."""
        self._channels.discard(channel)
        if self._service.connection is not None:
            self._service.connection.leave(channel)

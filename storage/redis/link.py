"""A connection that is kept: made, greeted, and made anew whenever it breaks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import hiredis
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater

from storage.errors import StoreUnavailable
from storage.redis.address import Address, Node
from storage.redis.connection import EventConnection, StoreConnection
from storage.redis.refusals import refusal
from storage.redis.timeline import timeline

CONNECT_TIMEOUT = 5
"""Seconds to wait for a connection to be made."""

FIRST_PAUSE = 0.05
"""Seconds until a connection that broke is made anew; after each attempt that fails, 1.6 times as many."""

LONGEST_PAUSE = 2.0

JITTER = 0.05
"""Seconds more, at random, so that nodes do not come all at once."""

CLOSE_TIMEOUT = 1.0
"""Seconds until a connection that is to close, but does not, is cut."""

AnyConnection = StoreConnection | EventConnection
Connection = TypeVar("Connection", StoreConnection, EventConnection)


def _nothing() -> None:
    """Nobody wants to know."""


class Signal:
    """Wakes those who wait for a change."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: set[Deferred[None]] = set()

    def fire(self) -> None:
        """Wake all who wait now."""
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if not each.called:
                each.callback(None)

    async def until(self, condition: Callable[[], object], timeout: float) -> bool:
        """Wait until the condition holds, as far as the signal tells; False after `timeout` seconds."""
        deadline = self._reactor.seconds() + timeout
        while not condition():
            left = deadline - self._reactor.seconds()
            if left <= 0:
                return False
            waiting: Deferred[None] = Deferred()
            self._waiting.add(waiting)
            try:
                await waiting.addTimeout(left, self._reactor)
            except TimeoutError:
                return bool(condition())
            finally:
                self._waiting.discard(waiting)
        return True


def endpoint(reactor: Any, address: Address, node: Node | None = None) -> IStreamClientEndpoint:
    """How to connect to a node, to the only one if none is given."""
    if address.path:
        return UNIXClientEndpoint(reactor, address.path, timeout=CONNECT_TIMEOUT)
    host, port = node or address.nodes[0]
    plain: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT)
    return wrapClientTLS(optionsForClientTLS(host), plain) if address.tls else plain


class Target:
    """The server that a link goes to, and how it is greeted: AUTH and SELECT, as the URL says."""

    longest_pause = LONGEST_PAUSE

    def __init__(self, reactor: Any, address: Address, node: Node | None = None) -> None:
        self._reactor = reactor
        self._address = address
        self._node = node

    def start(self, on_moved: Callable[[], None]) -> None:
        """The link starts. `on_moved` is to be called whenever the server is not the right one any more."""

    async def stop(self) -> None:
        """The link has stopped."""

    def demoted(self) -> None:
        """The server said that it is a replica."""

    async def connect(self, factory: IProtocolFactory) -> Any:
        """Connect to the server; returns the connection."""
        return await endpoint(self._reactor, self._address, self._node).connect(factory)

    async def greet(self, connection: AnyConnection) -> None:
        """Make a new connection ready for use. Raises what the server refuses."""
        for command in self._address.login:
            await self._ask(connection, *command)
        if self._address.database:
            await self._ask(connection, "SELECT", self._address.database)
        if isinstance(connection, StoreConnection):
            said = await connection.send("INFO", "server", "replication")
            # Who may not ask goes on without: what a failover loses is then told less exactly.
            connection.timeline = b"" if isinstance(said, hiredis.ReplyError) else timeline(said)

    @staticmethod
    async def _ask(connection: AnyConnection, *command: bytes | str | int) -> Any:
        reply = await connection.send(*command)
        if isinstance(reply, hiredis.ReplyError):
            raise refusal(reply)
        return reply


class _Factory(Factory):
    noisy = False

    def __init__(self, build: Callable[[], Protocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._build()


class Link(Generic[Connection]):
    """Keeps one connection of a kind.

    `on_change` is told when it is made, when an attempt to make it fails, and when it breaks.
    """

    def __init__(
        self,
        reactor: Any,
        target: Target,
        build: Callable[[], Connection],
        on_change: Callable[[], None] = _nothing,
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._build: Callable[[], Connection] = build
        self._on_change = on_change
        self._changed = Signal(reactor)
        self._keeping: Deferred[None] | None = None
        self._step: Deferred[Any] | None = None
        self._closed: Deferred[None] = Deferred()
        self._stopped = False
        self._tried = False
        self.connection: Connection | None = None
        """The connection, while there is one and the server has taken the greeting."""
        self.why = ""
        """Why the last attempt failed."""

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever the connection breaks."""
        self._stopped = self._tried = False
        self._target.start(self.drop)
        self._keeping = Deferred.fromCoroutine(self._keep())

    async def stop(self) -> None:
        """Close the connection for good. What is under way on it fails."""
        self._stopped = True
        cut = None
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.loseConnection()
            cut = self._reactor.callLater(CLOSE_TIMEOUT, self.connection.abort)
        elif self._step is not None:
            self._step.cancel()
        if self._keeping is not None:
            await self._keeping
        if cut is not None and cut.active():
            cut.cancel()
        self._changed.fire()
        await self._target.stop()

    def drop(self) -> None:
        """Cut the connection, the attempt to make one or the pause between two attempts, and connect anew."""
        if self.connection is not None:
            self.connection.abort()
        elif self._step is not None:
            self._step.cancel()

    @property
    def is_down(self) -> bool:
        """Whether the last attempt to connect failed, or the connection broke."""
        return self.connection is None and self._tried

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return self.connection is None or self.connection.is_idle

    async def connected(self, timeout: float) -> Connection:
        """The connection as soon as there is one; StoreUnavailable, and why, after `timeout` seconds."""
        await self._changed.until(lambda: self.connection is not None or self._stopped, timeout)
        if self.connection is None:
            raise StoreUnavailable(f"There is no connection to the message store.{self.why}")
        return self.connection

    async def attempted(self, timeout: float) -> None:
        """Wait until an attempt to connect has ended, in whatever way, `timeout` seconds at the most."""
        await self._changed.until(lambda: self._tried, timeout)

    def now(self) -> Connection:
        """The connection if there is one; else StoreUnavailable."""
        if self.connection is None:  # why is for operators: clients need not learn host names
            raise StoreUnavailable("There is no connection to the message store.")
        return self.connection

    async def _keep(self) -> None:
        failures = 0
        while not self._stopped:
            self._closed = Deferred()
            try:
                self._step = Deferred.fromCoroutine(self._connect())
                await self._step
            # Refused, unknown, too slow, not greeted, or given up by `drop`: it is tried again all the same.
            except Exception as error:  # noqa: BLE001
                failures += 1
                self.why = f" {str(error) or type(error).__name__}"
                self._tell()
            else:
                failures = 0
                await self._closed
                self.connection = None
                self._tell()
            if not self._stopped:
                pause = min(FIRST_PAUSE * 1.6 ** min(failures, 20), self._target.longest_pause)
                self._step = deferLater(self._reactor, pause + random.uniform(0, JITTER), lambda: None)
                try:
                    await self._step
                except CancelledError:
                    continue

    async def _connect(self) -> None:
        made: list[Connection] = []

        def build() -> Connection:
            connection: Connection = self._build()
            connection.on_closed = lambda: self._lost(connection)
            made.append(connection)
            return connection

        try:
            await self._target.connect(_Factory(build))
            await self._target.greet(made[0])
        except BaseException:
            for each in made:
                each.abort()
            raise
        self.connection, self.why = made[0], ""
        self._tell()

    def _lost(self, connection: Connection) -> None:
        # One whose greeting failed is lost after the next was begun; only the one in use counts.
        if self.connection is connection:
            self.connection = None
            self._closed.callback(None)

    def _tell(self) -> None:
        self._tried = True
        self._changed.fire()
        self._on_change()

"""The connections of plain HTTP that are open in a process: how many there may be, and their end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gateway.limits.share import part_of
from gateway.limits.sockets import Refused, client_of
from gateway.metrics import Metrics
from gateway.settings import Settings

LINGER: Final = 0.1
"""Seconds for which idle connections stay open at the end: what was sent before is answered."""


class Connection(Protocol):
    """A connection of plain HTTP."""

    @property
    def peer(self) -> str:
        """The address at the other end."""

    def end(self) -> None:
        """Close it, behind the answer to the request that is under way if there is one."""

    def drop(self) -> None:
        """Close it, whatever is on its way."""


class Connections:
    """Counts connections, in all and by address, and closes them at the end.

    :param is_proxy: whether an address is a proxy's, whose connections are for many clients: they count for
        the node alone.
    :param share: among how many processes each limit is divided.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        is_proxy: Callable[[str], bool],
        metrics: Metrics,
        share: int = 1,
    ) -> None:
        self._reactor = reactor
        self._is_proxy = is_proxy
        self._metrics = metrics
        self._most = part_of(settings.max_http_connections, share)
        self._most_per_address = part_of(settings.max_http_connections_per_address, share)
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._closed: Deferred[None] | None = None

    def refusal(self, peer: str) -> Refused | None:
        """Why one more connection from this address may not be, which is counted; None: it may."""
        refused = self._refusal(peer)
        if refused is not None:
            self._metrics.refused(refused.limit)
        return refused

    def add(self, connection: Connection) -> None:
        """A connection has begun."""
        self._open.add(connection)
        self._metrics.http_connections.inc()
        if self._most_per_address:
            self._by_address[client_of(connection.peer)] += 1

    def remove(self, connection: Connection) -> None:
        """A connection has ended."""
        self._open.remove(connection)
        self._metrics.http_connections.dec()
        if self._most_per_address:
            client = client_of(connection.peer)
            self._by_address[client] -= 1
            if not self._by_address[client]:
                del self._by_address[client]
        if not self._open and self._closed is not None:
            closed, self._closed = self._closed, None
            closed.callback(None)

    def too_late(self) -> None:
        """A request did not arrive in its time."""
        self._metrics.refused("handshake_timeout")

    async def drain(self) -> None:
        """Wait until all connections are closed: the idle ones soon, others when they have their answer."""
        if not self._open:
            return
        await deferLater(self._reactor, LINGER)
        for connection in list(self._open):
            connection.end()
        if self._open:
            self._closed = Deferred()
            await self._closed

    def drop(self) -> None:
        """Close what is still open."""
        for connection in list(self._open):
            connection.drop()

    def _refusal(self, peer: str) -> Refused | None:
        if self._most and len(self._open) >= self._most:
            told = "The gateway has as many HTTP connections as it may. Try again later."
            return Refused(503, told, "max_http_connections")
        if not self._most_per_address or self._is_proxy(peer):
            return None
        if self._by_address[client_of(peer)] >= self._most_per_address:
            told = "Your address has as many HTTP connections as it may. Close some."
            return Refused(429, told, "max_http_connections_per_address")
        return None

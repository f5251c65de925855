"""One connection of plain HTTP: many requests, one after the other, each of which has a time to arrive."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from gateway.http.connections import Connections


class HttpConnection(HTTPChannel):
    """Twisted's, which counts, and does not wait for the rest of a request for ever.

    :param timeout: seconds that a request has from its first byte to its last. Twisted's own timeout begins
        anew with every byte.
    """

    transport: Any

    def __init__(self, reactor: Any, connections: Connections, timeout: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is not typed
        self._reactor = reactor
        self._connections = connections
        self._seconds = timeout
        self._overdue: IDelayedCall | None = None
        self._host: IAddress | None = None

    @property
    def peer(self) -> str:
        """The address at the other end."""
        return getattr(self.transport.getPeer(), "host", "")

    def connectionMade(self) -> None:
        self._connections.add(self)
        super().connectionMade()  # type: ignore[no-untyped-call]  # the same

    def getHost(self) -> IAddress:
        """The address at this end, which Twisted asks for with each request: the kernel is asked once."""
        if self._host is None:
            self._host = self.transport.getHost()
        return self._host

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # the same
        if self._arriving and self._overdue is None:
            self._overdue = self._reactor.callLater(self._seconds, self._give_up)

    def allContentReceived(self) -> None:
        """The request is there."""
        self._stop_timer()
        super().allContentReceived()  # type: ignore[no-untyped-call]  # the same

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
        self._connections.remove(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # the same

    def end(self) -> None:
        """Close it, behind the answer to the request that is under way if there is one."""
        if self._handlingRequest or self._arriving:
            self.persistent = False
        else:
            self.loseConnection()  # type: ignore[no-untyped-call]  # the same

    def drop(self) -> None:
        """Close it, whatever is on its way."""
        self.transport.abortConnection()

    @property
    def _arriving(self) -> bool:
        """Whether a part of a request has come, and not yet all of it: from its first byte on."""
        return not self._handlingRequest and bool(self.requests or self._buffer)

    def _give_up(self) -> None:
        self._overdue = None
        self._connections.too_late()
        if not self.requests or not self.requests[-1].startedWriting:
            told = b"The request did not arrive within %g seconds.\n" % self._seconds
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n%b" % (len(told), told)
            )
        self.loseConnection()  # type: ignore[no-untyped-call]  # the same

    def _stop_timer(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

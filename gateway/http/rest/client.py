"""Who sends a request over REST: nobody who could be pushed to."""

from __future__ import annotations

from collections.abc import Callable

from gateway.auth.authorisation import Authorisation
from gateway.auth.identity import Identity
from gateway.websocket.outlet import Outlet
from storage.records import Queue


class RestClient:
    """The client of one request, as the actions see it."""

    outlet = Outlet(None)
    """Never free: nothing is sent but the answer."""
    extended = False
    compressed = False
    streamed = False
    subscriber = ""
    """None: a subscription needs another one."""
    authentication = None
    """There is no connection that could authenticate: each request does for itself."""

    __slots__ = ("_authorisation", "_when_closed", "closed", "identity", "until", "waited")

    def __init__(
        self, identity: Identity | None, authorisation: Authorisation, until: float | None = None
    ) -> None:
        """`until`: when the signature expires that permits the request, in seconds since the epoch."""
        self.identity = identity
        self.until = until if identity is None else identity.expires
        """When who asks may ask no longer; None: never."""
        self.closed = False
        self.waited = 0.0
        """Seconds that the request has waited for messages."""
        self._authorisation = authorisation
        self._when_closed: Callable[[], None] | None = None

    def close(self) -> None:
        """It has gone before it was answered."""
        self.closed = True
        if self._when_closed is not None:
            self._when_closed()

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have this called when it goes."""
        self._when_closed = callback

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        """It takes nothing."""
        return False

    def tell(self, frame: bytes) -> None:
        """It hears nothing."""

    def may(self, action: str, queue: Queue) -> bool:
        """Whether who speaks is permitted an action on a queue."""
        return self._authorisation.permits(self.identity, action, queue.project, queue.name)

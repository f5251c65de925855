"""Who sends a request over REST: nobody who could be pushed to."""

from __future__ import annotations

from gateway.auth.authorisation import Authorisation
from gateway.auth.identity import Identity
from gateway.websocket.outlet import Outlet
from storage.records import Queue


class RestClient:
    """The client of one request, as the actions see it."""

    outlet = Outlet(None)
    """Never free: nothing is sent but the answer."""
    closed = False
    extended = False
    compressed = False
    streamed = False
    subscriber = ""
    """None: a subscription needs another one."""
    authentication = None
    """There is no connection that could authenticate: each request does for itself."""

    __slots__ = ("_authorisation", "identity")

    def __init__(self, identity: Identity | None, authorisation: Authorisation) -> None:
        self.identity = identity
        self._authorisation = authorisation

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        """It takes nothing."""
        return False

    def tell(self, frame: bytes) -> None:
        """It hears nothing."""

    def may(self, action: str, queue: Queue) -> bool:
        """Whether who speaks is permitted an action on a queue."""
        return self._authorisation.permits(self.identity, action, queue.project, queue.name)

"""Tells all nodes that the catalog has changed, and hears it from them, through the default pool's store.

It is a hint that spares the nodes from asking the catalog: a lost one heals when they compare their routes
with it (`storage.router.Router.check`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack

from protocol.errors import Unavailable
from storage.redis.client import StoreClient
from storage.redis.topology import event_client

CHANNEL = b"zg:{catalog}:changes"
"""The sharded channel of the announcements."""

log = logging.getLogger(__name__)


class QueueChanged(NamedTuple):
    """A queue's metadata or pool have changed, or it was removed."""

    project: str
    name: str


class PoolsChanged(NamedTuple):
    """A pool or a flavor was changed or removed."""


Change = QueueChanged | PoolsChanged


class CatalogChanges:
    """The announcements of one node, which do not come back to it."""

    def __init__(self, reactor: Any, client: StoreClient, url: str, timeout: float) -> None:
        self._client = client
        self._sender = os.urandom(8)
        self._on_change: Callable[[Change], None]
        self._on_listening: Callable[[], None]
        self._events = event_client(reactor, url, timeout, self._told, self._listening)

    def start(self, on_change: Callable[[Change], None], on_listening: Callable[[], None]) -> None:
        """Begin to listen.

        `on_change` is told what another node has changed, `on_listening` that the store announces (again):
        whatever was changed before may have been missed.
        """
        self._on_change = on_change
        self._on_listening = on_listening
        self._events.start()
        self._events.listen(CHANNEL)

    async def stop(self) -> None:
        """Listen no longer."""
        await self._events.stop()

    async def tell(self, change: Change) -> None:
        """Tell the other nodes, once the catalog has changed. Never fails: what is not heard heals."""
        fields = ["queue", *change] if isinstance(change, QueueChanged) else ["pools"]
        message = msgpack.packb([self._sender, *fields])
        try:
            await self._client.execute("SPUBLISH", CHANNEL, message, key=CHANNEL)
        except Unavailable as error:
            log.warning("catalog_change_not_announced: %s", error)

    def _listening(self, _: bytes) -> None:
        self._on_listening()

    def _told(self, _: bytes, payload: bytes) -> None:
        sender, *fields = msgpack.unpackb(payload)
        if sender == self._sender:
            return
        match fields:  # what a later version may add is left to the comparison with the catalog
            case ["queue", project, name]:
                self._on_change(QueueChanged(project, name))
            case ["pools"]:
                self._on_change(PoolsChanged())

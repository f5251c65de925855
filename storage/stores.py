"""`Stores`: the message stores of all pools, each opened when a queue in it is needed first.

The store that the gateway was started with is the pool `default`, and open from the start. Where the others
are, the catalog says.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from protocol.errors import Unavailable
from storage.base import Catalog, MessageStore
from storage.errors import StoreUnavailable
from storage.pools import DEFAULT_POOL
from storage.records import Queue
from storage.redis.delivery_registry import DeliveryRegistry
from storage.redis.nodes import NodeRegistry
from storage.shared_work import SharedWork

RETRY = 1.0
"""Seconds for which a store that could not be opened is not tried again."""


class Announcements(Protocol):
    """Where the announcements of one store come from."""

    def listen(self, queue: Queue) -> None:
        """Hear of a queue from now on."""

    def leave(self, queue: Queue) -> None:
        """Hear of a queue no more."""


@dataclass(frozen=True)
class OpenStore:
    """A pool's store, connected."""

    store: MessageStore
    events: Announcements
    close: Callable[[], Awaitable[None]]
    """Closes the connections; what is under way fails."""
    uri: str = field(default="", repr=False)
    """Where it is, with its password. Empty for the default pool."""
    nodes: NodeRegistry | None = None
    """The processes that use it; None: this one does not tell the others of itself."""
    deliveries: DeliveryRegistry | None = None
    """The queues that have something to deliver; None: this one does not deliver."""


Open = Callable[[str, str], Awaitable[OpenStore]]
"""Opens the store of a pool: its name, and its URI. Raises what is told to the clients who need it."""


class Stores:
    """Opens stores, and knows those that are open.

    Several that need the same store at once wait for one attempt. If it fails, who comes within the next
    `RETRY` seconds is refused at once; then it is tried again.

    :param clock: seconds, of any start, that never go back.
    """

    def __init__(
        self,
        default: OpenStore,
        catalog: Catalog,
        open_store: Open,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.default = default
        self._opened = {DEFAULT_POOL: default}
        self._opening: SharedWork[str, OpenStore] = SharedWork()
        self._catalog = catalog
        self._open_store = open_store
        self._clock = clock
        self._failures: dict[str, tuple[str, float, str]] = {}
        self._stopped = False

    def opened(self, pool: str) -> OpenStore | None:
        """The store of a pool, if it is open."""
        return self._opened.get(pool)

    def all_opened(self) -> list[OpenStore]:
        """All stores that are open."""
        return list(self._opened.values())

    async def open(self, pool: str) -> OpenStore:
        """The store of a pool, opened if need be.

        Raises StoreUnavailable if it does not answer or is in no catalog, CatalogUnavailable if it is not
        open and the catalog does not say where it is.
        """
        opened = self._opened.get(pool)
        if opened is None:

            def keep(new: OpenStore) -> None:
                self._opened[pool] = new

            opened = await self._opening.join(pool, lambda: self._connect(pool), keep)
        return opened

    async def open_afresh(self, pool: str) -> OpenStore:
        """The same, where the catalog says just now that it is.

        Queues are made nowhere else: a pool may have been removed and made anew in another place.
        """
        await self._check(pool)
        return await self.open(pool)

    async def refresh(self) -> None:
        """Close the stores of pools that are gone or elsewhere now. Raises CatalogUnavailable."""
        for pool in list(self._opened):
            await self._check(pool)

    async def close(self, pool: str) -> None:
        """Close the store of a pool that is gone or elsewhere now, if it is open."""
        if pool != DEFAULT_POOL and pool in self._opened:
            await self._opened.pop(pool).close()

    async def _check(self, pool: str) -> None:
        opened = self._opened.get(pool)
        if pool == DEFAULT_POOL or opened is None:
            return
        known = await self._catalog.get_pool(pool)
        if (known is None or known.uri != opened.uri) and self._opened.get(pool) is opened:
            await self.close(pool)

    async def stop(self) -> None:
        """Close all stores. None is opened any more."""
        self._stopped = True
        while self._opened:
            _, opened = self._opened.popitem()
            await opened.close()

    async def _connect(self, pool: str) -> OpenStore:
        known = await self._catalog.get_pool(pool)
        if known is None:
            raise StoreUnavailable(f"The pool {pool}, which the queue is in, is in no catalog any more.")
        uri, when, why = self._failures.pop(pool, ("", 0.0, ""))
        if uri == known.uri and self._clock() - when < RETRY:
            self._failures[pool] = uri, when, why
            raise StoreUnavailable(why)
        try:
            opened = await self._open_store(pool, known.uri)
        except Unavailable as error:
            self._failures[pool] = known.uri, self._clock(), str(error)
            raise
        if self._stopped:
            await opened.close()
            raise StoreUnavailable("The gateway is about to stop.")
        return opened

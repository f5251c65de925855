"""A router on one store, without the rest of a gateway."""

from __future__ import annotations

from typing import Any

from storage.base import Catalog, MessageStore
from storage.errors import StoreUnavailable
from storage.records import Queue
from storage.router import Router
from storage.stores import Announcements, OpenStore, Stores


class NoAnnouncements:
    """For what does not listen."""

    def listen(self, queue: Queue) -> None:
        raise AssertionError("nobody listens here")

    def leave(self, queue: Queue) -> None:
        raise AssertionError("nobody listens here")


async def nothing() -> None:
    """The test closes its stores itself."""


async def no_other_pool(pool: str, uri: str) -> OpenStore:
    """There is only the pool `default`."""
    raise StoreUnavailable(f"There is no pool {pool} at {uri}.")


def only(store: MessageStore, catalog: Catalog, events: Announcements | None = None) -> Stores:
    """This store as the only pool."""
    return Stores(OpenStore(store, events or NoAnnouncements(), nothing), catalog, no_other_pool)


async def tell_nobody(project: str, name: str) -> None:
    """There are no other nodes."""


def new_router(catalog: Catalog, store: MessageStore | Stores, **options: Any) -> Router:
    """A router that keeps 100 routes, and tells nobody of its changes."""
    stores = store if isinstance(store, Stores) else only(store, catalog)
    given: dict[str, Any] = {"max_entries": 100, "max_bytes": 1_000_000, "announce": tell_nobody, **options}
    return Router(catalog, stores, **given)

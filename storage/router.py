"""`Router`: the way from a project and a queue's name to its incarnation, and from there to the store.

Routes are cached (storage.routes), so SQL does not stand in a known queue's way. A node that changes a route
announces it to the others. The store checks the incarnation in each script: a route that is old all the same
is found out there (`StaleQueue`), looked up again, and tried once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from protocol.names import is_queue_name
from storage.base import Catalog, MessageStore
from storage.errors import CatalogUnavailable, NoQueue, QueueMoved, StaleQueue, StoreFailed
from storage.records import Queue
from storage.routes import Routes
from storage.stores import OpenStore, Stores

T = TypeVar("T")
Drain = Callable[[MessageStore, Queue], Awaitable[object]]

_ROUTE_ATTEMPTS = 3
"""More are needed only if a queue is deleted that often while one call looks for it."""

_UPDATE_ATTEMPTS = 10
"""How often others may change a queue's metadata while one call changes them."""

_DRAIN_ATTEMPTS = 100
"""How often a queue's outbox is emptied before the queue is removed."""


class Router(Routes):
    """Finds queues, and runs operations on them.

    `max_entries` and `max_bytes` are those of Routes.

    :param max_queues: how many a project may have; 0 is no limit.
    :param announce: tells the other nodes that a queue has changed: its project and its name. It never fails.
    """

    def __init__(
        self,
        catalog: Catalog,
        stores: Stores,
        *,
        max_entries: int,
        max_bytes: int,
        announce: Callable[[str, str], Awaitable[None]],
        max_queues: int = 0,
    ) -> None:
        super().__init__(catalog, max_entries=max_entries, max_bytes=max_bytes)
        self._stores = stores
        self._announce = announce
        self._max_queues = max_queues

    async def find_again(self, queue: Queue) -> tuple[Queue, OpenStore] | None:
        """A queue that was not where its route says, and the store that it is in now; None if it is gone.

        Raises what the catalog and the store raise.
        """
        self.forget(queue.project, queue.name)
        try:
            found = await self._find_in_store(queue.project, queue.name)
        except NoQueue:
            return None
        if found.incarnation != queue.incarnation:
            return None
        return found, await self._stores.open(found.pool)

    async def ensure(
        self,
        project: str,
        name: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        for_dead_letters: bool = False,
    ) -> tuple[Queue, bool]:
        """The queue, created if it is missing, and whether this created it. The caller has checked the name.

        The catalog is always asked. A queue that only the catalog has (a crash in between) is completed.

        :param for_dead_letters: the project may have twice as many queues as usual: what waits for this one
            could not be delivered otherwise, and its old queue not be removed.
        :raises TooManyQueues: the project has as many as it may.
        """
        most = self._max_queues * (2 if for_dead_letters else 1)
        created = False
        for _ in range(_ROUTE_ATTEMPTS):
            queue, new = await self._catalog.create_queue(project, name, metadata or {}, most)
            created = created or new
            self._keep(queue)
            if await self.complete(queue):
                return queue, created
        raise _removed_meanwhile(name)

    async def run(
        self,
        project: str,
        name: str,
        operation: Callable[[MessageStore, Queue], Awaitable[T]],
        *,
        create: bool = False,
        for_dead_letters: bool = False,
    ) -> T:
        """Run an operation on a queue, at most twice: a second time if the route was old.

        :param create: create the queue if it is missing; `for_dead_letters` as in `ensure`.
        :raises NoQueue: there is none.
        :raises TooManyQueues: there is none, and the project has as many as it may.
        :raises StoreFailed: the queue is being removed or moved.
        """
        queue = self.cached(project, name)
        if queue is None and not create:
            queue = await self.find(project, name)
        elif queue is None:
            queue, _ = await self.ensure(project, name, for_dead_letters=for_dead_letters)
        try:
            opened = self._stores.opened(queue.pool) or await self._stores.open(queue.pool)
            return await operation(opened.store, queue)
        except StaleQueue:
            self.forget(project, name)
        if create:
            queue, _ = await self.ensure(project, name, for_dead_letters=for_dead_letters)
        else:
            queue = await self._find_in_store(project, name)
        try:
            return await operation(await self.store_of(queue), queue)
        except StaleQueue as error:
            self.forget(project, name)
            raise _removed_meanwhile(name) from error

    async def run_on(
        self,
        project: str,
        name: str,
        incarnation: int,
        operation: Callable[[MessageStore, Queue], Awaitable[T]],
    ) -> T:
        """The same on a queue that is known, wherever it is now. NoQueue too if another has its name."""

        async def run_here(store: MessageStore, found: Queue) -> T:
            if found.incarnation != incarnation:
                raise NoQueue
            return await operation(store, found)

        return await self.run(project, name, run_here)

    async def store_of(self, queue: Queue) -> MessageStore:
        """The store that a queue is in. Raises StoreUnavailable, CatalogUnavailable."""
        opened = self._stores.opened(queue.pool)
        return (opened or await self._stores.open(queue.pool)).store

    async def remove(self, project: str, name: str, drain: Drain) -> None:
        """Remove a queue with all that is in it. Nothing happens if there is none.

        The store goes first, and keeps a mark that the incarnation was removed: whoever meets that mark lets
        the catalog's row go too, so a crash in between leaves neither a queue that is half there nor data
        that nobody finds.

        :param drain: delivers the dead letters that wait in the queue's outbox.
        """
        for _ in range(_ROUTE_ATTEMPTS):
            queue = await self._catalog.get_queue(project, name) if is_queue_name(name) else None
            if queue is None:
                self.forget(project, name)
                return
            if await self._remove_from_store(queue, drain):
                await self._let_go(queue)
                return
            # The store never had it, but somebody may be about to create it there: once it is there, it can
            # be removed. Or it is gone, or elsewhere: then the catalog says so now.
            await self.complete(queue)
        raise _removed_meanwhile(name)

    async def update(
        self, project: str, name: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> Queue:
        """Change the metadata of a queue, never over somebody else's change.

        :param change: makes new metadata of the old; called again if somebody was faster. It may raise.
        :raises NoQueue: there is none.
        """
        for _ in range(_UPDATE_ATTEMPTS):
            queue = await self._catalog.get_queue(project, name) if is_queue_name(name) else None
            if queue is None:
                self.forget(project, name)
                raise NoQueue
            metadata = change(queue.metadata)
            if await self._changed(queue, self._catalog.update_queue(queue, metadata)):
                queue = replace(queue, metadata=metadata, serial=queue.serial + 1)
                self._keep(queue)
                return queue
        raise CatalogUnavailable(f"Queue {name} is being changed by others. Try again.")

    async def complete(self, queue: Queue) -> bool:
        """See that a queue of the catalog is in the store too.

        False: the store has removed it, or let it go to another pool, and now the catalog says so too.
        """
        try:
            await (await self._stores.open_afresh(queue.pool)).store.create(queue)
        except StaleQueue:
            await self._let_go(queue)
            return False
        except QueueMoved as moved:  # who moved it did not come to say so
            await self._changed(queue, self._catalog.switch_pool(queue, moved.pool))
            return False
        return True

    async def _remove_from_store(self, queue: Queue, drain: Drain) -> bool:
        """False: the store does not have it."""
        store = await self.store_of(queue)
        try:
            for _ in range(_DRAIN_ATTEMPTS):
                if await store.remove(queue):
                    return True
                await drain(store, queue)
        except StaleQueue:
            return False
        raise StoreFailed(f"The dead letters of queue {queue.name} could not be delivered. Try again.")

    async def _find_in_store(self, project: str, name: str) -> Queue:
        for _ in range(_ROUTE_ATTEMPTS):
            queue = await self.find(project, name)
            if await self.complete(queue):
                return queue
        raise _removed_meanwhile(name)

    async def _let_go(self, queue: Queue) -> None:
        await self._changed(queue, self._catalog.delete_queue(queue))

    async def _changed(self, queue: Queue, change: Awaitable[T]) -> T:
        """Change a queue in the catalog; this node and the others shall ask it again."""
        try:
            return await change
        finally:  # It may have been changed although the answer was lost.
            self.forget(queue.project, queue.name)
            await self._announce(queue.project, queue.name)


def _removed_meanwhile(name: str) -> StoreFailed:
    return StoreFailed(f"Queue {name} is being removed or moved. Try again.")

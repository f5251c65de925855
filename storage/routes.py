"""`Routes`: which queues there are, read from the catalog and cached.

A node that changes a queue announces it to the others, which forget its route. What was not announced to one
is seen when it compares its routes with the catalog's, now and then (`check`).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from functools import partial

from protocol.names import is_queue_name
from storage.base import Catalog
from storage.errors import NoQueue
from storage.records import Queue
from storage.shared_work import SharedWork

_Key = tuple[str, str]
"""The project and the name of a queue."""

_CHECKED_AT_ONCE = 500
"""Routes that are compared with the catalog by one statement."""


class Routes:
    """Finds queues.

    :param max_entries: how many routes are kept, and
    :param max_bytes: how much encoded metadata with them; the least recently used go first.
    """

    def __init__(self, catalog: Catalog, *, max_entries: int, max_bytes: int) -> None:
        self._catalog = catalog
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._routes: OrderedDict[_Key, tuple[Queue, int]] = OrderedDict()
        self._bytes = 0
        self._look_ups: SharedWork[_Key, Queue | None] = SharedWork()

    def cached(self, project: str, name: str) -> Queue | None:
        """The queue, if its route is cached."""
        key = (project, name)
        route = self._routes.get(key)
        if route is None:
            return None
        self._routes.move_to_end(key)
        return route[0]

    def forget(self, project: str, name: str) -> None:
        """The queue has changed: ask the catalog when it is needed next."""
        self._drop((project, name))
        # What a look-up under way has read may be old. It is told to those who wait, but not kept.
        self._look_ups.forget((project, name))

    async def check(self) -> None:
        """Forget the routes that the catalog knows differently by now: their announcement was missed.

        Raises CatalogUnavailable; the routes are kept then, since known queues go on without the catalog.
        """
        queues = [queue for queue, _ in self._routes.values()]
        for start in range(0, len(queues), _CHECKED_AT_ONCE):
            batch = queues[start : start + _CHECKED_AT_ONCE]
            found = await self._catalog.queue_versions([queue.incarnation for queue in batch])
            for queue in batch:
                known = self._routes.get((queue.project, queue.name))
                if known is None or known[0] is not queue:
                    continue  # it was read anew meanwhile
                if found.get(queue.incarnation) != (queue.serial, queue.pool):
                    self.forget(queue.project, queue.name)

    async def find(self, project: str, name: str) -> Queue:
        """The queue.

        :raises NoQueue: there is none, or no queue may have this name.
        :raises CatalogUnavailable: it is not cached, and the catalog does not answer.
        """
        queue = self.cached(project, name)
        if queue is not None:
            return queue
        if is_queue_name(name):
            look_up = partial(self._catalog.get_queue, project, name)
            queue = await self._look_ups.join((project, name), look_up, self._found)
        if queue is None:
            raise NoQueue
        return queue

    def _keep(self, queue: Queue) -> None:
        key = (queue.project, queue.name)
        self.forget(*key)
        size = len(json.dumps(queue.metadata))
        self._routes[key] = (queue, size)
        self._bytes += size
        while len(self._routes) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._routes)))

    def _drop(self, key: _Key) -> None:
        route = self._routes.pop(key, None)
        if route is not None:
            self._bytes -= route[1]

    def _found(self, queue: Queue | None) -> None:
        if queue is not None:
            self._keep(queue)

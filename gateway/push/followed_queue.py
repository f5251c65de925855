"""A queue that is worked on in the background, and looked for when it is not where it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.push.tasks import Tasks
from storage.base import MessageStore
from storage.records import Queue
from storage.stores import OpenStore


class FollowedQueue:
    """Where a queue is now, what its store announces of it, and the tasks that it gives.

    :param find: says where the queue is; None: it is gone. Raises what the catalog and the store raise.
    :param on_back: is called when it is where it was, but was gone for a moment: something may be missed.
    :param on_gone: is called when it is gone.
    :param on_moved: is called with where it is, when that is another store; None: it is followed there.
    :ivar heard: whether announcements of where it is now are heard; who hears them says so.
    """

    def __init__(
        self,
        reactor: Any,
        queue: Queue,
        opened: OpenStore,
        *,
        find: Callable[[], Awaitable[tuple[Queue, OpenStore] | None]],
        on_back: Callable[[], None],
        on_gone: Callable[[], None],
        on_moved: Callable[[Queue, OpenStore], None] | None = None,
    ) -> None:
        self.queue = queue
        self._opened = opened
        self._find = find
        self._on_back = on_back
        self._on_gone = on_gone
        self._on_moved = on_moved or self.move
        self.heard = False
        self._looking = False
        self.tasks = Tasks(reactor, queue.name, self.look)
        opened.events.listen(queue)

    @property
    def store(self) -> MessageStore:
        """The store that the queue is in."""
        return self._opened.store

    def move(self, queue: Queue, opened: OpenStore) -> None:
        """The queue is here now, maybe in another pool than before; its positions and claims are the same."""
        if opened is not self._opened:
            self._opened.events.leave(self.queue)
            self._opened, self.heard = opened, False
            opened.events.listen(queue)
        self.queue = queue

    def look(self) -> None:
        """The queue is not where it was: find out where it is."""
        if not self._looking:
            self._looking = True
            self.tasks.begin("find", self._follow)

    async def _follow(self) -> None:
        found = await self._find()
        self._looking = False
        if self.tasks.closed:
            return
        if found is None:
            self._on_gone()
        elif found[1] is self._opened:
            self._on_back()
        else:
            self._on_moved(*found)

    def close(self) -> None:
        """Work on it no more, and do not listen to it."""
        self.tasks.close()
        self._opened.events.leave(self.queue)

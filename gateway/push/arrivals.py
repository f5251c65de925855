"""The one owner of who waits for messages on this node: requests over REST with `wait` (long polling)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from gateway.limits.waiting import WaitingRequests
from gateway.push.waiter import Waiter
from gateway.push.watch import Watch
from storage.errors import NoQueue
from storage.events import Event
from storage.router import Router
from storage.stores import Stores

T = TypeVar("T")


class Patient(Protocol):
    """Who waits: the client of a request."""

    closed: bool
    """Whether it has gone."""
    waited: float
    """Seconds that it has waited."""

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have this called when it goes."""


class Wait(NamedTuple):
    """What a request waits for.

    :ivar seconds: how long at the most.
    :ivar takes: it takes what it finds, so that nobody else finds that: such requests are woken in turn.
    """

    project: str
    queue_name: str
    seconds: float
    takes: bool


class Arrivals:
    """Watches by queue. `count` is told by how many those who wait have become more.

    :param limits: how many may wait.
    """

    def __init__(
        self,
        reactor: Any,
        router: Router,
        stores: Stores,
        limits: WaitingRequests,
        count: Callable[[int], None],
    ) -> None:
        self._reactor = reactor
        self._router = router
        self._stores = stores
        self._limits = limits
        self._count = count
        self._watches: dict[int, Watch] = {}
        self._waiting: set[Waiter] = set()
        self._ended = False

    def told(self, incarnation: int, event: Event) -> None:
        """The store announced something about a queue."""
        watch = self._watches.get(incarnation)
        if watch is not None:
            watch.told(event)

    def listening(self, incarnation: int) -> None:
        """The node listens to a queue, for the first time or again after its connection broke."""
        watch = self._watches.get(incarnation)
        if watch is not None:
            watch.listening()

    async def look(
        self,
        wait: Wait,
        client: Patient,
        look: Callable[[], Awaitable[T]],
        is_found: Callable[[T], bool],
    ) -> T:
        """What a request finds: at once, or as soon as there is something, or nothing when its time is over.

        It waits no longer than its client, and until the node stops. Raises what `look` raises,
        TooManyRequests if it would have to wait and there is no room.
        """
        found = await look()
        if is_found(found) or wait.seconds <= 0 or self._ended or client.closed:
            return found
        self._limits.enter(wait.project)
        self._count(1)
        since = self._reactor.seconds()
        waiter = Waiter(self._reactor, since + wait.seconds)
        self._waiting.add(waiter)
        client.when_closed(waiter.end)
        try:
            return await self._wait(wait, waiter, found, look, is_found)
        finally:
            client.waited = self._reactor.seconds() - since
            self._waiting.discard(waiter)
            self._count(-1)
            self._limits.leave(wait.project)

    async def _wait(
        self,
        wait: Wait,
        waiter: Waiter,
        found: T,
        look: Callable[[], Awaitable[T]],
        is_found: Callable[[T], bool],
    ) -> T:
        watch = await self._watch(wait)
        if watch is not None:
            watch.add(waiter, takes=wait.takes)
            try:
                while not watch.gone:
                    if not await waiter.woken():
                        return found
                    found = await look()
                    if is_found(found):
                        return found
                    watch.looked(waiter, found=False)
            finally:
                watch.remove(waiter)
                self._drop_if_unused(watch)
        # Nobody announces that a queue is made: it is looked for once more when the time is over.
        while await waiter.woken():
            pass
        return found if waiter.over else await look()

    async def _watch(self, wait: Wait) -> Watch | None:
        """The watch of a queue; None if there is no such queue."""
        try:
            queue = await self._router.find(wait.project, wait.queue_name)
        except NoQueue:
            return None
        opened = await self._stores.open(queue.pool)
        watch = self._watches.get(queue.incarnation)
        if watch is None:
            watch = Watch(self._reactor, queue, opened, self._router)
            self._watches[queue.incarnation] = watch
        else:
            watch.followed.move(queue, opened)  # if the route has changed, and it has not heard of it yet
        return watch

    def _drop_if_unused(self, watch: Watch) -> None:
        if not watch.used and self._watches.get(watch.followed.queue.incarnation) is watch:
            del self._watches[watch.followed.queue.incarnation]
            watch.followed.close()

    def end(self) -> None:
        """The node stops: nobody waits any longer."""
        self._ended = True
        for waiter in list(self._waiting):
            waiter.end()

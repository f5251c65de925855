"""One queue that requests wait at, on this node.

What the store announces wakes them. One timer is for the next delay or claim to end: nobody announces that
before somebody looks. Those who only read are woken together. Those who take what is there are woken in turn:
however many wait, a message that comes is asked for by one of them.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.push.followed_queue import FollowedQueue
from gateway.push.waiter import Waiter
from schemas import limits
from storage.events import Announced, Due, Ended, Event, Free, Moved
from storage.records import Queue
from storage.router import Router
from storage.stores import OpenStore

LOOKED_LONG_AGO: Final = limits.CLAIM_TTL_MIN - limits.WAIT_MAX
"""Seconds after a look within which no claim that was made since can end while a new request waits."""


class Watch:
    """Wakes the requests that wait at a queue.

    :param router: is asked where the queue is when it is not where it was.
    :ivar gone: the queue is not there any more.
    """

    def __init__(self, reactor: Any, queue: Queue, opened: OpenStore, router: Router) -> None:
        self._reactor = reactor
        self.followed = FollowedQueue(
            reactor,
            queue,
            opened,
            find=lambda: router.find_again(self.followed.queue),
            on_back=self.listening,
            on_gone=self._go,
        )
        self.gone = False
        self._looked = float("-inf")
        self._readers: dict[Waiter, None] = {}
        self._takers: dict[Waiter, None] = {}
        self._taking: Waiter | None = None
        self._more = False

    # Who waits

    @property
    def used(self) -> bool:
        """Whether somebody waits."""
        return bool(self._readers or self._takers)

    def add(self, waiter: Waiter, *, takes: bool) -> None:
        """A request begins to wait. It is woken once as soon as nothing is missed any more."""
        (self._takers if takes else self._readers)[waiter] = None
        if self.followed.heard:
            if takes:
                self._wake_taker()
            else:
                waiter.wake()
            if self._reactor.seconds() - self._looked > LOOKED_LONG_AGO:
                self.followed.tasks.begin("look", self._look)

    def looked(self, waiter: Waiter, *, found: bool) -> None:
        """One that was woken has looked at the queue."""
        if self._taking is waiter:
            self._taking = None
            if found or self._more:
                self._wake_taker()

    def remove(self, waiter: Waiter) -> None:
        """A request waits no longer. Whose turn it was, its turn is the next one's."""
        self._readers.pop(waiter, None)
        self._takers.pop(waiter, None)
        self.looked(waiter, found=True)

    # What the store announces

    def listening(self) -> None:
        """The node listens (again): what was announced before was missed."""
        self.followed.heard = True
        self.followed.tasks.begin("look", self._look)
        self._wake_all()

    def told(self, event: Event) -> None:
        """The store announced something."""
        match event:
            case Announced() | Free(messages=True):
                self._wake_all()
            case Due(due_in):
                self._look_in(due_in)
                self._wake_readers()  # a delayed message is there for those who list these too
            case Moved() | Ended(None, limits.SAFE_INTEGER):  # or removed with all that is in it
                self.followed.look()

    def _wake_all(self) -> None:
        self._wake_readers()
        self._wake_taker()

    def _wake_readers(self) -> None:
        for waiter in list(self._readers):
            waiter.wake()

    def _wake_taker(self) -> None:
        """There may be something to take: see to it that one asks, and then the next as long as one finds."""
        self._more = True
        if self._taking is None and self._takers:
            self._more = False
            self._taking = next(iter(self._takers))
            self._taking.wake()

    # When something comes due

    async def _look(self) -> None:
        """Have done what is due, which is announced, and learn when the next is."""
        looked = self._reactor.seconds()
        swept = await self.followed.store.sweep(self.followed.queue)
        self._looked = looked
        self._look_in(swept.due_in)
        self._look_in(swept.claim_ends_in)

    def _look_in(self, seconds: float | None) -> None:
        if seconds is not None:
            self.followed.tasks.after("due", seconds, self._look)

    def _go(self) -> None:
        self.gone = True
        for waiter in [*self._readers, *self._takers]:
            waiter.wake()

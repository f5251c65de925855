"""The tail of a queue: its messages as they become visible, in order, each once and none left out.

What the store announces is a hint, the queue is the truth: an announcement that does not follow on the last
known position makes the tail read what it missed. A position belongs to a timeline (storage.records): what
comes of another one makes the tail ask first whether the store still has what it has passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.logs import get_logger
from gateway.push.followed_queue import FollowedQueue
from storage.records import Gap, Message, Start

PAGE = 100
"""Messages read from the queue at a time."""

log = get_logger(__name__)


class Deliver(Protocol):
    """Takes the next messages."""

    def __call__(self, messages: list[Message], at_once: bool = False) -> None:
        """`at_once`: nothing else comes in this turn of the reactor."""


class Tail:
    """Where one queue's live messages stand on this node.

    :param deliver: takes the next messages.
    :param on_lost: is told what the store has lost, once the tail is back where that begins.
    :param on_looked: is called when it is known whether the store has lost something.
    :ivar timeline: what the position belongs to.
    :ivar era: grows when the position goes back: what was read for an earlier one may be gone.
    """

    def __init__(
        self,
        reactor: Any,
        followed: FollowedQueue,
        *,
        deliver: Deliver,
        on_lost: Callable[[Gap], None],
        on_looked: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._followed = followed
        self._deliver = deliver
        self._on_lost = on_lost
        self._on_looked = on_looked
        self._position: int | None = None
        self.timeline = b""
        self.era = 0
        self._ready: list[Deferred[Failure | None]] = []
        self._announced_early = False
        self._target = 0
        self._reading = False
        self._read_again = False
        self._unsure = False

    @property
    def position(self) -> int:
        """Up to where all was passed on. Known once the tail is ready."""
        assert self._position is not None
        return self._position

    async def ready(self, timeout: float) -> None:
        """Wait until it is known where the queue stands.

        Raises TimeoutError after `timeout` seconds, StaleQueue if the queue is not in the store.
        """
        if self._position is None:
            waiting: Deferred[Failure | None] = Deferred()
            self._ready.append(waiting)
            await waiting.addTimeout(timeout, self._reactor)

    def tell_ready(self, outcome: Failure | None) -> None:
        """Those who wait for that need not wait longer; a Failure is raised to them."""
        ready, self._ready = self._ready, []
        for waiting in ready:
            if not waiting.called:  # else it has timed out
                waiting.callback(outcome)

    def listening(self) -> None:
        """The node listens (again): whatever was announced before was missed, and writes may be lost."""
        self._unsure = self._position is not None
        self._followed.tasks.begin("position", self._find_position)

    async def _find_position(self) -> None:
        swept = await self._followed.store.sweep(self._followed.queue)
        if self._position is None:
            self._position, self.timeline = swept.visible, swept.timeline
            self.tell_ready(None)
            if self._announced_early:  # while the answer was on its way
                self._followed.tasks.begin("read", self._read)
        self.read_to(swept.visible)
        self.wake_in(swept.due_in)

    def wake_in(self, seconds: float | None) -> None:
        """Look at the queue when the next delay ends: its messages are announced by whoever looks first."""
        if seconds is not None:
            self._followed.tasks.after("due", seconds, self._wake)

    async def _wake(self) -> None:
        self.wake_in((await self._followed.store.sweep(self._followed.queue)).due_in)

    # What is announced

    def take(
        self, before: int, last: int, messages: list[Message] | None, timeline: bytes, *, at_once: bool
    ) -> None:
        """A storage.events.Announced: pass its messages on, or see to it that they are read."""
        if self._position is None:
            self._announced_early = True
            return
        if not self.is_on(timeline):
            self.doubt()
            return
        if last <= self._position and not self._unsure:
            return
        if messages is None or self._reading or self._unsure or before > self._position:
            self.read_to(last)
        else:
            self._deliver([message for message in messages if message.position > self.position], at_once)
            self._position = last

    def is_on(self, timeline: bytes) -> bool:
        """Whether positions of a timeline can be compared with the tail's, as far as is known."""
        return not timeline or timeline == self.timeline

    # Reading what was missed

    def read_to(self, position: int) -> None:
        """What is there up to a position was announced: read it, if it was not passed on."""
        self._target = max(self._target, position)
        if self._position is not None and (self._unsure or self._target > self._position):
            self._followed.tasks.begin("read", self._read)

    def doubt(self) -> None:
        """Ask, before anything else is passed on, whether the store still has what was passed on last."""
        self._unsure = True
        self._followed.tasks.begin("read", self._read)

    async def _read(self) -> None:
        self._read_again = True
        if self._reading:
            return
        self._reading = True
        followed = self._followed
        try:
            while self._read_again and not followed.tasks.closed:
                self._read_again = False
                if self._unsure:
                    await self._look_behind()
                target = self._target
                page = await followed.store.list_messages(
                    followed.queue, Start(self.position), PAGE, include_claimed=True
                )
                if not self.is_on(page.timeline):
                    self._unsure = True
                if self._unsure:  # meanwhile: what was read may be lost
                    self._read_again = True
                elif page.messages:
                    self._deliver(page.messages)
                    self._position = max(self.position, page.position)
                    self._read_again = True
                else:  # all that is left up to there has been read; the rest was deleted
                    self._position = max(self.position, target)
        finally:
            self._reading = False

    async def _look_behind(self) -> None:
        """Find out whether the store still has what was passed on last, or has lost it in a failover."""
        followed = self._followed
        self._unsure = False
        try:
            gap, timeline = await followed.store.find_gap(followed.queue, self.position, self.timeline)
        except BaseException:
            self._unsure = True
            raise
        if timeline != self.timeline:
            self.timeline = timeline
            self._target = self.position  # what else was announced may be lost too
        if gap is not None and gap.reason == "failover":
            self._go_back(gap)
        self._on_looked()

    def _go_back(self, gap: Gap) -> None:
        """What stood behind `gap.start` is lost. What is posted now may get the same positions."""
        log.warning("store_lost_messages", queue=self._followed.queue.name, behind=gap.start, up_to=gap.end)
        self.era += 1
        self._position = self._target = gap.start
        self._on_lost(gap)

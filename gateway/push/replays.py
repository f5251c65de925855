"""Subscribers that are behind the others of their feed: each reads from the queue what it has not got.

Those are behind whose socket was slow, and those who resume. Meanwhile they cost nothing but their position.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.push.followed_queue import FollowedQueue
from gateway.push.frames import notifications, pieces
from gateway.push.subscriber import Subscriber
from gateway.push.tail import PAGE, Tail
from schemas.events import BehindEvent, CaughtUpEvent
from storage.records import Start

FIRST_PAGE = 10
"""Messages read at a time for a socket that was slow, which may take only a few; doubled as long as it
takes all, up to PAGE."""


class Replays:
    """The subscribers of a feed that are behind. `on_pushed` is told how many notifications were sent."""

    def __init__(self, followed: FollowedQueue, tail: Tail, on_pushed: Callable[[int], None]) -> None:
        self._followed = followed
        self._tail = tail
        self._on_pushed = on_pushed
        self._behind: dict[int, Subscriber] = {}

    def add(self, subscriber: Subscriber) -> None:
        """It has not got all that was pushed before it came: read that for it."""
        subscriber.behind = True
        self._behind[subscriber.sequence] = subscriber
        self.resume(subscriber)

    def fall_behind(self, subscriber: Subscriber) -> None:
        """Its socket takes no more now; `resume` will be called when it does."""
        subscriber.behind = True
        self._behind[subscriber.sequence] = subscriber
        subscriber.told_behind = True
        subscriber.tell(BehindEvent(queue_name=self._followed.queue.name))

    def remove(self, sequence: int) -> None:
        """Its subscription has ended."""
        self._behind.pop(sequence, None)

    def resume_all(self) -> None:
        """The store answers again."""
        for subscriber in list(self._behind.values()):
            self.resume(subscriber)

    def resume(self, subscriber: Subscriber) -> None:
        """The socket takes more: go on for it from where it stands."""
        if subscriber.sequence in self._behind:
            self._followed.tasks.begin(subscriber.sequence, lambda: self._read_for(subscriber))

    async def _read_for(self, subscriber: Subscriber) -> None:
        if subscriber.reading:
            return
        subscriber.reading = True
        followed, tail, size = self._followed, self._tail, FIRST_PAGE
        try:
            while subscriber.sequence in self._behind and not self._followed.tasks.closed:
                era, target = tail.era, tail.position
                page = await followed.store.list_messages(
                    followed.queue, Start(subscriber.position), size, include_claimed=True
                )
                if era != tail.era:
                    continue
                if not tail.is_on(page.timeline):
                    tail.doubt()
                    return
                for part in pieces(page.messages):
                    if subscriber.sequence not in self._behind or not subscriber.sink.push(
                        notifications(followed.queue, part, subscriber.kind)
                    ):
                        return
                    subscriber.position = part[-1].position
                    self._on_pushed(len(part))
                if not page.messages:
                    subscriber.position = max(subscriber.position, target)
                if subscriber.position >= tail.position:
                    self._caught_up(subscriber)
                size = min(2 * size, PAGE)
        finally:
            subscriber.reading = False

    def _caught_up(self, subscriber: Subscriber) -> None:
        if self._behind.pop(subscriber.sequence, None) is None:
            return
        subscriber.behind = False
        if subscriber.told_behind:
            subscriber.told_behind = False
            subscriber.tell(CaughtUpEvent(queue_name=self._followed.queue.name))

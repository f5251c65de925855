"""The live messages of one queue on this node.

All subscribers share one position, that of the queue's tail (gateway.push.tail), but for those who are behind
(gateway.push.replays).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.python.failure import Failure

from gateway.push.followed_queue import FollowedQueue
from gateway.push.frames import notifications, pieces
from gateway.push.replays import Replays
from gateway.push.subscriber import Subscriber
from gateway.push.tail import Tail
from protocol.identifiers import format_id
from schemas.events import GapEvent, SubscriptionEndedEvent
from storage.errors import StaleQueue
from storage.events import Announced, Due, Ended, Event, Moved
from storage.records import Gap, Message, Queue
from storage.stores import OpenStore


class Feed:
    """One queue's subscribers on this node.

    `on_pushed` is told how many notifications were sent, `on_removed` which subscription has ended; `find`
    is asked where the queue is when it is not where it was.
    """

    def __init__(
        self,
        reactor: Any,
        queue: Queue,
        opened: OpenStore,
        on_pushed: Callable[[int], None],
        on_removed: Callable[[Feed, Subscriber], None],
        find: Callable[[Feed], Awaitable[tuple[Queue, OpenStore] | None]],
    ) -> None:
        self._on_pushed = on_pushed
        self._on_removed = on_removed
        self.followed = FollowedQueue(
            reactor,
            queue,
            opened,
            find=lambda: find(self),
            on_back=self.listening,
            on_gone=self._end_all,
        )
        self.subscribers: dict[int, Subscriber] = {}
        self._subscribing = 0
        self._ended: dict[int, str] = {}
        self._ended_until = Ended(None)
        self._announced: list[Announced] = []
        self.tail = Tail(
            reactor,
            self.followed,
            deliver=self._deliver,
            on_lost=self._tell_lost,
            on_looked=self._resume_all,
        )
        self._replays = Replays(self.followed, self.tail, on_pushed)

    @property
    def queue(self) -> Queue:
        """The queue, as it is known now."""
        return self.followed.queue

    # Life

    @property
    def used(self) -> bool:
        """Whether somebody is subscribed, or about to be."""
        return bool(self.subscribers or self._subscribing)

    def listening(self) -> None:
        """The node listens (again): whatever was announced before was missed, and writes may be lost."""
        self.deliver()
        self.tail.listening()
        if self.subscribers:
            self.followed.tasks.begin("subscribers", self._check_subscribers)
        self._replays.resume_all()

    async def _check_subscribers(self) -> None:
        for sequence in list(self.subscribers):
            if await self.followed.store.get_subscription(self.queue, sequence) is None:
                self._end(sequence, Ended(sequence))

    # Announcements

    def told(self, event: Event) -> bool:
        """The store announced something. True: it is the first of what waits for `deliver`."""
        if isinstance(event, Announced):
            self._announced.append(event)
            return len(self._announced) == 1
        self.deliver()  # what was announced before comes before
        match event:
            case Due(due_in):
                self.tail.wake_in(due_in)
            case Moved():
                self.followed.look()
            case Ended(None, until):
                if until >= self._ended_until.until:
                    self._ended_until = event
                for sequence in [number for number in self.subscribers if number <= until]:
                    self._end(sequence, event)
            case Ended(sequence):
                assert sequence is not None
                if self._subscribing:
                    self._ended[sequence] = event.reason
                self._end(sequence, event)
        return False

    def deliver(self, *, at_once: bool = False) -> None:
        """Push what was announced, or see to it that it is read. `at_once`: at the end of the turn."""
        announced, self._announced = self._announced, []
        try:
            for event in joined(announced):
                self.tail.take(*event, at_once=at_once)
        except BaseException:
            self.tail.read_to(announced[-1].last)  # who has got some of it already does not get that again
            raise

    # Subscribers

    @contextmanager
    def subscribing(self) -> Iterator[None]:
        """Around a subscription being made: announcements that it ended may come before its own answer."""
        self._subscribing += 1
        try:
            yield
        finally:
            self._subscribing -= 1
            if not self._subscribing:
                self._ended.clear()

    def add(self, subscriber: Subscriber) -> bool:
        """A new subscriber. It gets what comes after its position, also if that was delivered just now.

        False: its subscription has ended meanwhile.
        """
        sequence = subscriber.sequence
        if sequence <= self._ended_until.until:
            self._tell_ended(subscriber, self._ended_until.reason)
            return False
        if sequence in self._ended:
            self._tell_ended(subscriber, self._ended[sequence])
            return False
        self.subscribers[sequence] = subscriber
        if self.tail.position > subscriber.position:
            self._replays.add(subscriber)
        if not self.tail.is_on(subscriber.timeline):
            self.tail.doubt()
        return True

    def remove(self, sequence: int) -> None:
        """A subscription has ended, and its socket knows."""
        subscriber = self.subscribers.pop(sequence, None)
        if subscriber is not None:
            self._replays.remove(sequence)
            self._on_removed(self, subscriber)

    def resume(self, subscriber: Subscriber) -> None:
        """The socket takes more: go on for it from where it stands."""
        self._replays.resume(subscriber)

    def _resume_all(self) -> None:
        """It is known what the store still has: go on for all who are behind."""
        self._replays.resume_all()

    def _end(self, sequence: int, event: Ended) -> None:
        if sequence in self.subscribers:
            self._tell_ended(self.subscribers[sequence], event.reason)
            self.remove(sequence)

    def _end_all(self) -> None:
        """The queue is gone, and its subscriptions with it."""
        self.tail.tell_ready(Failure(StaleQueue()))
        self.told(Ended(None, max(self.subscribers, default=0), "queue_deleted"))

    def _tell_ended(self, subscriber: Subscriber, why: str) -> None:
        reason: Any = why  # the store tells no other than the schema has
        subscription_id = format_id(subscriber.sequence, self.queue.incarnation)
        subscriber.tell(
            SubscriptionEndedEvent(queue_name=self.queue.name, subscription_id=subscription_id, reason=reason)
        )

    def _tell_lost(self, gap: Gap) -> None:
        """The store has lost what stood in a gap: all who have got some of it are told."""
        event = GapEvent(queue_name=self.queue.name, after=str(gap.start), to=str(gap.end))
        for subscriber in self.subscribers.values():
            if not subscriber.timeline or subscriber.timeline != self.tail.timeline:  # else it came after it
                # Nothing stands between that it could get twice.
                subscriber.position = min(subscriber.position, gap.start)
                subscriber.tell(event)

    def _deliver(self, messages: Sequence[Message], at_once: bool = False) -> None:
        """Push to all who are not behind: encoded once for each kind, and several messages in one piece."""
        pushed = 0
        for part in pieces(messages):
            frames: dict[int, bytes] = {}
            first, last = part[0].position, part[-1].position
            for subscriber in list(self.subscribers.values()):
                if subscriber.behind or last <= subscriber.position:
                    continue
                wanted, kind = part, subscriber.kind
                if first <= subscriber.position:  # its subscription was made between these
                    wanted = [message for message in part if message.position > subscriber.position]
                    frame = notifications(self.queue, wanted, kind)
                elif (known := frames.get(kind)) is not None:
                    frame = known
                else:
                    frame = frames[kind] = notifications(self.queue, part, kind)
                if (at_once and subscriber.outlet.put(frame)) or subscriber.sink.push(frame, at_once):
                    subscriber.position = last
                    pushed += len(wanted)
                else:
                    self._replays.fall_behind(subscriber)
        self._on_pushed(pushed)


def joined(announced: list[Announced]) -> list[Announced]:
    """Announcements, of which those that follow on each other and tell their messages are made one."""
    result = announced[:1]
    for event in announced[1:]:
        before = result[-1]
        follows = event.before <= before.last and event.timeline == before.timeline
        if not follows or before.messages is None or event.messages is None:
            result.append(event)
        elif event.last > before.last:  # else it was told twice
            fresh = [message for message in event.messages if message.position > before.last]
            result[-1] = before._replace(last=event.last, messages=before.messages + fresh)
    return result

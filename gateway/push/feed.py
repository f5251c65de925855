"""The live messages of one queue on this node.

What the store announces is a hint, the queue is the truth: an announcement that does not follow on the last
known position makes the feed read what it missed. All subscribers share one position, but for those who are
behind (gateway.push.replays). A position belongs to a timeline (storage.records): what comes of another one
makes the feed ask first whether the store still has what it has pushed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.logs import get_logger
from gateway.push.followed_queue import FollowedQueue
from gateway.push.frames import notifications, pieces
from gateway.push.replays import PAGE, Replays
from gateway.push.subscriber import Subscriber
from protocol.identifiers import format_id
from schemas.events import GapEvent, SubscriptionEndedEvent
from storage.base import MessageStore
from storage.errors import StaleQueue
from storage.events import Announced, Due, Ended, Event, Moved
from storage.records import Gap, Message, Queue, Start
from storage.stores import OpenStore

log = get_logger(__name__)


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
        self._reactor = reactor
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
        self._position: int | None = None
        self.timeline = b""
        """What the position belongs to."""
        self._announced: list[Announced] = []
        self.era = 0
        self._announced_early = False
        self._target = 0
        self._reading = False
        self._read_again = False
        self._unsure = False
        self._replays = Replays(self, self.followed.tasks, on_pushed)
        self._ready: list[Deferred[Failure | None]] = []

    @property
    def queue(self) -> Queue:
        """The queue, as it is known now."""
        return self.followed.queue

    @property
    def store(self) -> MessageStore:
        """The store that the queue is in."""
        return self.followed.store

    @property
    def position(self) -> int:
        """Up to where all have got the messages who are not behind. Known once the feed is ready."""
        assert self._position is not None
        return self._position

    # Life

    @property
    def used(self) -> bool:
        """Whether somebody is subscribed, or about to be."""
        return bool(self.subscribers or self._subscribing)

    async def ready(self, timeout: float) -> None:
        """Wait until the feed knows where the queue stands.

        Raises TimeoutError after `timeout` seconds, StaleQueue if the queue is not in the store.
        """
        if self._position is None:
            waiting: Deferred[Failure | None] = Deferred()
            self._ready.append(waiting)
            await waiting.addTimeout(timeout, self._reactor)

    def listening(self) -> None:
        """The node listens (again): whatever was announced before was missed, and writes may be lost."""
        self.deliver()
        self._unsure = self._position is not None
        self.followed.tasks.begin("position", self._find_position)
        if self.subscribers:
            self.followed.tasks.begin("subscribers", self._check_subscribers)
        self._replays.resume_all()

    async def _find_position(self) -> None:
        swept = await self.store.sweep(self.queue)
        if self._position is None:
            self._position, self.timeline = swept.visible, swept.timeline
            self._tell_ready(None)
            if self._announced_early:  # while the answer was on its way
                self.followed.tasks.begin("read", self._read)
        self._read_to(swept.visible)
        self._wake_in(swept.due_in)

    async def _check_subscribers(self) -> None:
        for sequence in list(self.subscribers):
            if await self.store.get_subscription(self.queue, sequence) is None:
                self._end(sequence, Ended(sequence))

    def _tell_ready(self, outcome: Failure | None) -> None:
        ready, self._ready = self._ready, []
        for waiting in ready:
            if not waiting.called:  # else it has timed out
                waiting.callback(outcome)

    # Announcements

    def told(self, event: Event) -> bool:
        """The store announced something. True: it is the first of what waits for `deliver`."""
        if isinstance(event, Announced):
            self._announced.append(event)
            return len(self._announced) == 1
        self.deliver()  # what was announced before comes before
        match event:
            case Due(due_in):
                self._wake_in(due_in)
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
                self._take(*event, at_once=at_once)
        except BaseException:
            self._read_to(announced[-1].last)  # who has got some of it already does not get that again
            raise

    def _take(
        self, before: int, last: int, messages: list[Message] | None, timeline: bytes, *, at_once: bool
    ) -> None:
        if self._position is None:
            self._announced_early = True
            return
        if not self.is_on(timeline):
            self.doubt()
            return
        if last <= self._position and not self._unsure:
            return
        if messages is None or self._reading or self._unsure or before > self._position:
            self._read_to(last)
        else:
            self._deliver([message for message in messages if message.position > self.position], at_once)
            self._position = last

    def _wake_in(self, seconds: float | None) -> None:
        """Look at the queue when the next delay ends: its messages are announced by whoever looks first."""
        if seconds is not None:
            self.followed.tasks.after("due", seconds, self._wake)

    async def _wake(self) -> None:
        self._wake_in((await self.store.sweep(self.queue)).due_in)

    # Reading what was missed

    def _read_to(self, position: int) -> None:
        self._target = max(self._target, position)
        if self._position is not None and (self._unsure or self._target > self._position):
            self.followed.tasks.begin("read", self._read)

    def is_on(self, timeline: bytes) -> bool:
        """Whether positions of a timeline can be compared with the feed's, as far as is known."""
        return not timeline or timeline == self.timeline

    def doubt(self) -> None:
        """Ask, before anything else is pushed, whether the store still has what was pushed last."""
        self._unsure = True
        self.followed.tasks.begin("read", self._read)

    async def _read(self) -> None:
        self._read_again = True
        if self._reading:
            return
        self._reading = True
        try:
            while self._read_again and not self.followed.tasks.closed:
                self._read_again = False
                if self._unsure:
                    await self._look_behind()
                target = self._target
                page = await self.store.list_messages(
                    self.queue, Start(self.position), PAGE, include_claimed=True
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
        """Find out whether the store still has what was pushed last, or has lost it in a failover."""
        self._unsure = False
        try:
            gap, timeline = await self.store.find_gap(self.queue, self.position, self.timeline)
        except BaseException:
            self._unsure = True
            raise
        if timeline != self.timeline:
            self.timeline = timeline
            self._target = self.position  # what else was announced may be lost too
        if gap is not None and gap.reason == "failover":
            self._go_back(gap)
        self._replays.resume_all()

    def _go_back(self, gap: Gap) -> None:
        """What stood behind `gap.start` is lost. What is posted now may get the same positions."""
        log.warning("store_lost_messages", queue=self.queue.name, behind=gap.start, up_to=gap.end)
        self.era += 1
        self._position = self._target = gap.start
        event = GapEvent(queue_name=self.queue.name, after=str(gap.start), to=str(gap.end))
        for subscriber in self.subscribers.values():
            if not subscriber.timeline or subscriber.timeline != self.timeline:  # else it came after the loss
                # Nothing stands between that it could get twice.
                subscriber.position = min(subscriber.position, gap.start)
                subscriber.tell(event)

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
        if self.position > subscriber.position:
            self._replays.add(subscriber)
        if not self.is_on(subscriber.timeline):
            self.doubt()
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

    def _end(self, sequence: int, event: Ended) -> None:
        if sequence in self.subscribers:
            self._tell_ended(self.subscribers[sequence], event.reason)
            self.remove(sequence)

    def _end_all(self) -> None:
        """The queue is gone, and its subscriptions with it."""
        self._tell_ready(Failure(StaleQueue()))
        self.told(Ended(None, max(self.subscribers, default=0), "queue_deleted"))

    def _tell_ended(self, subscriber: Subscriber, why: str) -> None:
        reason: Any = why  # the store tells no other than the schema has
        subscription_id = format_id(subscriber.sequence, self.queue.incarnation)
        subscriber.tell(
            SubscriptionEndedEvent(queue_name=self.queue.name, subscription_id=subscription_id, reason=reason)
        )

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

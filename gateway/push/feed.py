"""The live messages of one queue on this node.

What the store announces is a hint, the queue is the truth: an announcement that does not follow on the last
known position makes the feed read what it missed. All subscribers share one position, but for those whose
socket is slow: they fall behind, cost nothing meanwhile, and read from the queue when the socket takes more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gateway.logs import get_logger
from gateway.push.subscriber import Subscriber
from gateway.websocket.frames import make_frame, opcode
from protocol.body import Form
from protocol.envelope import notification
from protocol.errors import RequestError
from storage.base import Announced, Due, Ended, Event, Message, Moved, Queue, Start
from storage.errors import StaleQueue
from storage.stores import OpenStore

PAGE = 100
"""Messages read from the queue at a time."""

FIRST_PAGE = 10
"""The same for a socket that was slow: it may take only a few; doubled as long as it takes all."""

PIECE = 65_536
"""Bytes of bodies that are pushed in one piece, if it is more than one message."""

RETRY = 0.5
"""Seconds until a read that the store refused is tried again."""

Task = Callable[[], Coroutine[Any, Any, None]]

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
        self.queue = queue
        self._opened = opened
        self._on_pushed = on_pushed
        self._on_removed = on_removed
        self._find = find
        self.subscribers: dict[int, Subscriber] = {}
        self._subscribing = 0
        self._ended: set[int] = set()
        self._ended_until = 0
        self._behind: set[int] = set()
        self._position: int | None = None
        self._target = 0
        self._reading = False
        self._read_again = False
        self._closed = False
        self._looking = False
        self._timers: dict[str | int, IDelayedCall] = {}
        self._ready: list[Deferred[Failure | None]] = []
        opened.events.listen(queue)

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

    def close(self) -> None:
        """Stop: no subscriber is left."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._opened.events.leave(self.queue)

    def move(self, queue: Queue, opened: OpenStore) -> None:
        """The queue is here now, in another pool than before; its positions are the same."""
        if opened is not self._opened:
            self._opened.events.leave(self.queue)
            self.queue, self._opened = queue, opened
            opened.events.listen(queue)

    def listening(self) -> None:
        """The node listens (again): whatever was announced before was missed."""
        self._spawn("position", self._find_position)
        if self.subscribers:
            self._spawn("subscribers", self._check_subscribers)
        for sequence in list(self._behind):
            self.resume(self.subscribers[sequence])

    async def _find_position(self) -> None:
        swept = await self._opened.store.sweep(self.queue)
        if self._position is None:
            self._position = swept.visible
            self._tell_ready(None)
        # What was announced while the answer was on its way counts too.
        self._read_to(max(swept.visible, self._target))
        self._wake_in(swept.due_in)

    async def _check_subscribers(self) -> None:
        for sequence in list(self.subscribers):
            if await self._opened.store.get_subscription(self.queue, sequence) is None:
                self.remove(sequence)

    def _tell_ready(self, outcome: Failure | None) -> None:
        ready, self._ready = self._ready, []
        for waiting in ready:
            if not waiting.called:  # else it has timed out
                waiting.callback(outcome)

    # Announcements

    def told(self, event: Event) -> None:
        """The store announced something."""
        match event:
            case Announced(before, last, messages):
                self._announced(before, last, messages)
            case Due(due_in):
                self._wake_in(due_in)
            case Moved():
                self._look_for_queue()
            case Ended(None, until):
                self._ended_until = max(self._ended_until, until)
                for sequence in [number for number in self.subscribers if number <= until]:
                    self.remove(sequence)
            case Ended(sequence):
                assert sequence is not None
                if self._subscribing:
                    self._ended.add(sequence)
                self.remove(sequence)

    def _announced(self, before: int, last: int, messages: list[Message] | None) -> None:
        if self._position is None:
            self._target = max(self._target, last)
            return
        if last <= self._position:
            return
        if messages is None or self._reading or before > self._position:
            self._read_to(last)
        else:
            self._deliver([message for message in messages if message.position > self._position])
            self._position = last

    def _wake_in(self, seconds: float | None) -> None:
        """Look at the queue when the next delay ends: its messages are announced by whoever looks first."""
        if seconds is not None:
            self._after("due", max(seconds, 0.001), self._wake)

    async def _wake(self) -> None:
        self._wake_in((await self._opened.store.sweep(self.queue)).due_in)

    # Reading what was missed

    def _read_to(self, position: int) -> None:
        self._target = max(self._target, position)
        if self._position is not None and self._target > self._position:
            self._spawn("read", self._read)

    async def _read(self) -> None:
        assert self._position is not None
        self._read_again = True
        if self._reading:
            return
        self._reading = True
        try:
            while self._read_again and not self._closed:
                self._read_again = False
                target = self._target
                page = await self._opened.store.list_messages(
                    self.queue, Start(self._position), PAGE, include_claimed=True
                )
                if page.messages:
                    self._deliver(page.messages)
                    self._position = max(self._position, page.position)
                    self._read_again = True
                else:  # all that is left up to there has been read; the rest was deleted
                    self._position = max(self._position, target)
        finally:
            self._reading = False

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
        """A new subscriber. It gets what comes after its sequence, also if that was delivered just now.

        False: its subscription has ended meanwhile.
        """
        if subscriber.sequence <= self._ended_until or subscriber.sequence in self._ended:
            return False
        self.subscribers[subscriber.sequence] = subscriber
        assert self._position is not None
        if self._position > subscriber.position:
            self._behind.add(subscriber.sequence)
            self.resume(subscriber)
        return True

    def remove(self, sequence: int) -> None:
        """A subscription has ended."""
        subscriber = self.subscribers.pop(sequence, None)
        if subscriber is not None:
            self._behind.discard(sequence)
            self._on_removed(self, subscriber)

    def _deliver(self, messages: Sequence[Message]) -> None:
        """Push to all who are not behind: encoded once for each form, and several messages in one piece."""
        pushed = 0
        for part in _parts(messages):
            frames: dict[Form, bytes] = {}
            first, last = part[0].position, part[-1].position
            for subscriber in list(self.subscribers.values()):
                if subscriber.sequence in self._behind or last <= subscriber.position:
                    continue
                wanted = part
                if first <= subscriber.position:  # its subscription was made between these
                    wanted = [message for message in part if message.position > subscriber.position]
                    frame = self._frame(wanted, subscriber.form)
                elif (known := frames.get(subscriber.form)) is not None:
                    frame = known
                else:
                    frame = frames[subscriber.form] = self._frame(part, subscriber.form)
                if subscriber.sink.push(frame):
                    subscriber.position = last
                    pushed += len(wanted)
                else:
                    self._behind.add(subscriber.sequence)
        self._on_pushed(pushed)

    def _frame(self, messages: Iterable[Message], form: Form) -> bytes:
        """The notifications of these messages, each in a WebSocket frame of its own."""
        kind, name = opcode(form), self.queue.name
        return b"".join(
            [make_frame(kind, notification(name, message.ttl, message.body, form)) for message in messages]
        )

    def resume(self, subscriber: Subscriber) -> None:
        """The socket takes more: go on for it from where it stands."""
        if subscriber.sequence in self._behind:
            self._spawn(subscriber.sequence, lambda: self._read_for(subscriber))

    async def _read_for(self, subscriber: Subscriber) -> None:
        if subscriber.reading:
            return
        subscriber.reading = True
        size = FIRST_PAGE
        try:
            while subscriber.sequence in self._behind and not self._closed:
                assert self._position is not None
                target = self._position
                page = await self._opened.store.list_messages(
                    self.queue, Start(subscriber.position), size, include_claimed=True
                )
                for part in _parts(page.messages):
                    if subscriber.sequence not in self._behind or not subscriber.sink.push(
                        self._frame(part, subscriber.form)
                    ):
                        return
                    subscriber.position = part[-1].position
                    self._on_pushed(len(part))
                if not page.messages:
                    subscriber.position = max(subscriber.position, target)
                if subscriber.position >= self._position:
                    self._behind.discard(subscriber.sequence)
                size = min(2 * size, PAGE)
        finally:
            subscriber.reading = False

    # Where the queue is

    def _look_for_queue(self) -> None:
        if not self._looking:
            self._looking = True
            self._spawn("find", self._follow)

    async def _follow(self) -> None:
        found = await self._find(self)
        self._looking = False
        if found is None:  # gone, and its subscriptions with it
            self._tell_ready(Failure(StaleQueue()))
            self.told(Ended(None, max(self.subscribers, default=0)))
        elif found[1] is self._opened:  # it was gone for a moment, and subscriptions may be
            self.listening()
        else:
            self.move(*found)

    # Tasks

    def _spawn(self, role: str | int, task: Task) -> None:
        if not self._closed:
            Deferred.fromCoroutine(task()).addErrback(self._failed, role, task)

    def _failed(self, failure: Failure, role: str | int, task: Task) -> None:
        if failure.check(StaleQueue):  # the queue is gone, or elsewhere
            self._look_for_queue()
            return
        if not failure.check(RequestError):
            log.error("push_failed", queue=self.queue.name, failure=failure.getTraceback())
        # A store that is away or full comes back; nothing was skipped, the positions still stand.
        self._after(role, RETRY, task)

    def _after(self, role: str | int, seconds: float, task: Task) -> None:
        """Run a task later. There is one timer for each role: the last one set counts."""
        if self._closed:
            return
        timer = self._timers.pop(role, None)
        if timer is not None:
            timer.cancel()

        def fire() -> None:
            del self._timers[role]
            self._spawn(role, task)

        self._timers[role] = self._reactor.callLater(seconds, fire)


def _parts(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Messages in parts of up to PIECE bytes."""
    part: list[Message] = []
    size = 0
    for message in messages:
        size += len(message.body.data)
        if part and size > PIECE:
            yield part
            part, size = [], len(message.body.data)
        part.append(message)
    if part:
        yield part

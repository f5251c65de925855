"""The one owner of who is subscribed on this node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.python.failure import Failure

from gateway.logs import get_logger
from gateway.push.feed import Feed
from gateway.push.remembered import Remembered
from gateway.push.subscriber import Sink, Subscriber
from protocol.body import Form
from protocol.errors import RequestError
from storage.base import MessageStore
from storage.errors import NoQueue, OutcomeUnknown, StoreUnavailable, TooFewReplicas
from storage.events import Ended, Event
from storage.records import Queue, Start, Subscribed
from storage.redis.nodes import SubscriptionTerms
from storage.router import Router
from storage.sending import at_turn_end
from storage.stores import OpenStore, Stores

READY = 5.0
"""Seconds until a new feed has to know where its queue stands."""

log = get_logger(__name__)


class Hub:
    """Feeds by queue, subscriptions by socket. `on_pushed` is told how many notifications were sent."""

    def __init__(
        self, reactor: Any, router: Router, stores: Stores, on_pushed: Callable[[int], None]
    ) -> None:
        self._reactor = reactor
        self._router = router
        self._stores = stores
        self._on_pushed = on_pushed
        self._feeds: dict[int, Feed] = {}
        self._sinks: dict[Sink, dict[int, Feed]] = {}
        self._fresh: list[Feed] = []
        self._ending: set[Deferred[None]] = set()
        self._remembered = Remembered(reactor, stores)

    def told(self, incarnation: int, event: Event) -> None:
        """The store announced something about a queue."""
        feed = self._feeds.get(incarnation)
        if feed is not None and feed.told(event):
            if not self._fresh:
                at_turn_end(self._reactor, self._deliver)
            self._fresh.append(feed)

    def _deliver(self) -> None:
        """Push what was announced in this turn of the reactor."""
        fresh, self._fresh = self._fresh, []
        at_once = len(fresh) == 1  # else a socket may get something of several: it gets that in one piece
        for feed in fresh:
            try:
                feed.deliver(at_once=at_once)
            except Exception:  # whatever it is, it must cost no other queue
                log.exception("push_failed", queue=feed.queue.name)

    def listening(self, incarnation: int) -> None:
        """The node listens to a queue, for the first time or again after its connection broke."""
        feed = self._feeds.get(incarnation)
        if feed is not None:
            feed.listening()

    async def subscribe(
        self,
        sink: Sink,
        queue: Queue,
        subscriber: str,
        ttl: int,
        options: Mapping[str, Any],
        form: Form,
        start: Start | None = None,
    ) -> Subscribed | None:
        """Subscribe a socket to a queue; None if the subscriber has a subscription to it.

        It is pushed what comes after `start`; None: what comes from now on. Whoever calls answers the socket
        before that takes notifications.

        Raises what the store raises, StoreUnavailable if the store's announcements cannot be heard.
        """
        opened = await self._stores.open(queue.pool)
        feed = self._feeds.get(queue.incarnation)
        if feed is None:
            feed = Feed(self._reactor, queue, opened, self._on_pushed, self._removed, self._find)
            self._feeds[queue.incarnation] = feed
        else:
            # If the route has changed, and the feed has not heard of it yet.
            self._remembered.carry(feed, queue)
            feed.followed.move(queue, opened)
        try:
            with feed.subscribing():
                try:
                    await feed.tail.ready(READY)
                except TimeoutError:
                    raise StoreUnavailable(
                        "The message store does not announce messages at the moment."
                    ) from None
                made = await self._make(opened.store, queue, subscriber, ttl, options, start)
                if made is not None:
                    position = None if start is None else made.position
                    await self._add(feed, Subscriber(sink, made.sequence, form, position, made.timeline))
        finally:
            self._drop_if_unused(feed)
        if sink.closed:  # meanwhile
            self.closed(sink)
        elif not sink.may("subscription_create", queue):  # the operator has decided so meanwhile
            await self.end_forbidden(sink)
        return made

    async def _add(self, feed: Feed, subscriber: Subscriber) -> None:
        if feed.add(subscriber):
            self._sinks.setdefault(subscriber.sink, {})[subscriber.sequence] = feed
            # Before the reply: what a client knows of is swept if this process dies.
            await self._remembered.add(feed.queue, subscriber.sequence)

    async def _make(
        self,
        store: MessageStore,
        queue: Queue,
        subscriber: str,
        ttl: int,
        options: Mapping[str, Any],
        start: Start | None,
    ) -> Subscribed | None:
        try:
            return await store.subscribe(queue, subscriber, ttl, options, confirmed=False, start=start)
        except (OutcomeUnknown, TooFewReplicas):
            # It may stand in the store, where the client's next try would find it and be refused.
            await self._end(queue, lambda store, queue: store.unsubscribe_subscriber(queue, subscriber))
            raise

    async def _find(self, feed: Feed) -> tuple[Queue, OpenStore] | None:
        """Where a feed's queue is now; None if it is gone. Raises what the catalog and the store raise."""
        found = await self._router.find_again(feed.queue)
        if found is not None:
            self._remembered.carry(feed, found[0])
        return found

    def count(self, sink: Sink) -> int:
        """How many subscriptions a socket has."""
        return len(self._sinks.get(sink, ()))

    def writable(self, sink: Sink) -> None:
        """A slow socket takes more."""
        for sequence, feed in self._sinks.get(sink, {}).items():
            subscriber = feed.subscribers.get(sequence)
            if subscriber is not None:
                feed.resume(subscriber)

    def closed(self, sink: Sink) -> None:
        """A socket has closed: its subscriptions end (protocol.md section 4)."""
        for sequence, feed in self._sinks.pop(sink, {}).items():
            feed.remove(sequence)
            self._begin_to_end(feed, sequence)

    async def end_forbidden(self, sink: Sink) -> None:
        """Others speak on a socket now, or may do less: subscriptions that they may not have end.

        Nothing of it is pushed any more, at once; returns when the subscriptions have ended.
        """
        mine = self._sinks.get(sink, {})
        ending = []
        for sequence, feed in list(mine.items()):
            if not sink.may("subscription_create", feed.queue):
                del mine[sequence]
                feed.told(Ended(sequence, reason="not_permitted"))
                ending.append(self._begin_to_end(feed, sequence))
        await DeferredList(ending)

    def end_all_forbidden(self) -> None:
        """The operator has changed who may do what: begin the same on all sockets."""
        for sink in list(self._sinks):
            Deferred.fromCoroutine(self.end_forbidden(sink))

    def _begin_to_end(self, feed: Feed, sequence: int) -> Deferred[None]:
        ending: Deferred[None] = Deferred.fromCoroutine(self._unsubscribe(feed.queue, sequence))
        self._ending.add(ending)
        ending.addBoth(self._ended, ending, feed.queue)
        return ending

    def _ended(self, outcome: object, ending: Deferred[None], queue: Queue) -> None:
        self._ending.discard(ending)
        if isinstance(outcome, Failure) and not outcome.check(CancelledError):  # cancelled at the end
            log.error("push_failed", queue=queue.name, failure=outcome.getTraceback())

    async def _unsubscribe(self, queue: Queue, sequence: int) -> None:
        if await self._end(queue, lambda store, queue: store.unsubscribe(queue, sequence)):
            self._remembered.remove(queue, sequence)

    async def _end(self, queue: Queue, end: Callable[[MessageStore, Queue], Awaitable[None]]) -> bool:
        """End a subscription in the store; False if that cannot be done now."""
        try:
            await self._router.run_on(queue.project, queue.name, queue.incarnation, end)
        except NoQueue:
            pass  # the queue went first, and its subscriptions with it
        except RequestError as error:
            # Its ttl ends it later, or who sweeps after this process; until then it pushes to nobody.
            log.warning("subscription_left_behind", queue=queue.name, reason=str(error))
            return False
        return True

    def _removed(self, feed: Feed, subscriber: Subscriber) -> None:
        if self._sinks.get(subscriber.sink, {}).pop(subscriber.sequence, None) is not None:
            asking = self._remembered.ended(feed, subscriber, partial(self._renew, feed, subscriber))
            asking.addBoth(lambda _: self._drop_if_unused(feed))
        self._drop_if_unused(feed)

    async def _renew(self, feed: Feed, was: Subscriber, terms: SubscriptionTerms) -> None:
        """Subscribe a socket again whose subscription was ended by mistake: it goes on where it stands.

        The ttl begins anew.
        """
        store = (await self._stores.open(feed.queue.pool)).store
        made = await self._make(store, feed.queue, *terms, None)
        if made is None:  # the client was faster
            return
        renewed = Subscriber(was.sink, made.sequence, was.form, was.position)
        await self._add(feed, renewed)
        log.info("subscription_renewed", queue=feed.queue.name)
        if was.sink.closed:  # meanwhile
            self.closed(was.sink)
        await self.end_forbidden(was.sink)  # if others speak there now

    def check(self) -> None:
        """Others could have taken this process for dead: see whether its subscriptions are still there."""
        for feed in list(self._feeds.values()):
            feed.listening()

    def _drop_if_unused(self, feed: Feed) -> None:
        if not feed.used and self._feeds.get(feed.queue.incarnation) is feed:
            del self._feeds[feed.queue.incarnation]
            feed.followed.close()

    async def stop(self) -> None:
        """End all that is under way. The sockets are closed by now."""
        self._remembered.stop()
        await DeferredList(list(self._ending))
        for feed in list(self._feeds.values()):
            feed.followed.close()
        self._feeds.clear()

"""What other processes know of this one's subscriptions, so that they can end them after its death.

A process that stalls for long is taken for dead. Its sockets may live all the same, and do not know: what was
ended for them by mistake is made anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from gateway.logs import get_logger
from gateway.push.feed import Feed
from gateway.push.subscriber import Subscriber
from gateway.push.tasks import RETRY
from protocol.errors import RequestError
from storage.errors import StaleQueue
from storage.records import Queue
from storage.redis.nodes import NodeRegistry, SocketSubscription, SubscriptionTerms
from storage.stores import Stores

log = get_logger(__name__)


class Remembered:
    """The subscriptions of this process, each in the registry of its pool's store (storage.redis.nodes)."""

    def __init__(self, reactor: Any, stores: Stores) -> None:
        self._reactor = reactor
        self._stores = stores
        self._asking: set[Deferred[None]] = set()

    async def add(self, queue: Queue, sequence: int) -> None:
        """A socket of this process has a subscription. Returns when others know, or cannot be told now."""
        nodes = self._nodes(queue)
        if nodes is not None:
            await nodes.remember(SocketSubscription.of(queue, sequence))

    def remove(self, queue: Queue, sequence: int) -> None:
        """It has ended."""
        nodes = self._nodes(queue)
        if nodes is not None:
            nodes.forget(SocketSubscription.of(queue, sequence))

    def carry(self, feed: Feed, queue: Queue) -> None:
        """The feed's queue is about to be `queue`: if that is in another pool, all of it moves along."""
        nodes = self._nodes(queue)
        if queue.pool != feed.queue.pool:
            for sequence in feed.subscribers:
                self.remove(feed.queue, sequence)
                if nodes is not None:
                    nodes.remember(SocketSubscription.of(queue, sequence))

    def ended(
        self, feed: Feed, subscriber: Subscriber, renew: Callable[[SubscriptionTerms], Awaitable[None]]
    ) -> Deferred[None]:
        """A subscription has ended, and not by its socket. If that was a mistake, `renew` makes it anew.

        The feed is kept until the Deferred fires.
        """
        asking: Deferred[None] = Deferred.fromCoroutine(self._ask(feed, subscriber, renew))
        if not asking.called:
            self._asking.add(asking)
            asking.addBoth(lambda _: self._asking.discard(asking))
        return asking

    def stop(self) -> None:
        """The process ends: nothing is made anew any more."""
        for asking in list(self._asking):
            asking.cancel()

    def _nodes(self, queue: Queue) -> NodeRegistry | None:
        opened = self._stores.opened(queue.pool)
        return None if opened is None else opened.nodes

    async def _ask(
        self, feed: Feed, subscriber: Subscriber, renew: Callable[[SubscriptionTerms], Awaitable[None]]
    ) -> None:
        queue, nodes = feed.queue, self._nodes(feed.queue)
        if nodes is None:
            return
        subscription = SocketSubscription.of(queue, subscriber.sequence)
        try:
            with feed.subscribing():
                while not subscriber.sink.closed:
                    try:
                        terms = await nodes.was_swept(subscription)
                        if terms is not None:
                            await renew(terms)
                        nodes.forget(subscription)
                        return
                    except RequestError as error:
                        log.warning("subscription_not_renewed", queue=queue.name, reason=str(error))
                        await deferLater(self._reactor, RETRY, lambda: None)
        except (StaleQueue, CancelledError):
            pass  # the queue went too; the process ends
        # Nobody waits for this: a fault must be seen.
        except Exception:
            log.exception("push_failed", queue=queue.name)

"""Signs of life between processes that share stores, and the end of what a dead one has left behind.

A socket's subscriptions end with it. When its whole process dies, another one finds that out and ends them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall

from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Queue
from storage.redis.nodes import NodeRegistry, SocketSubscription, SubscriptionTerms
from storage.router import Router
from storage.stores import Stores

MISSED = 3
"""Signs of life that a process may miss, of three intervals in all, before it counts as dead."""

PROCESSES = 100
"""Dead processes that are looked at in one round."""

AT_ONCE = 100
"""Subscriptions that are ended at a time."""

log = get_logger(__name__)


class Liveness:
    """Shows signs of life in every open store, every `interval` seconds, and looks for who shows none.

    A process that others could have taken for dead calls `on_lapsed`: its subscriptions may be gone.
    """

    def __init__(
        self, reactor: Any, router: Router, stores: Stores, interval: float, on_lapsed: Callable[[], None]
    ) -> None:
        self._router = router
        self._stores = stores
        self._interval = interval
        self._on_lapsed = on_lapsed
        self._loop = LoopingCall(self._round)
        self._loop.clock = reactor
        self._begun: set[NodeRegistry] = set()
        self._suspects: dict[NodeRegistry, set[str]] = {}
        self._working: dict[tuple[NodeRegistry, str], Deferred[None]] = {}
        self._stopping = False

    def start(self) -> None:
        """Begin at once."""
        ended = self._loop.start(self._interval, now=True)
        ended.addErrback(lambda failure: log.error("liveness_ended", failure=failure.getTraceback()))

    async def stop(self) -> None:
        """Take leave of the others, as far as the sockets' subscriptions have ended."""
        self._stopping = True
        if self._loop.running:
            self._loop.stop()
        await DeferredList(list(self._working.values()))
        for registry in self._registries():
            try:
                await registry.leave()
            except RequestError as error:  # then it counts as dead after a while
                log.warning("node_did_not_leave", reason=str(error))

    def _registries(self) -> list[NodeRegistry]:
        return [opened.nodes for opened in self._stores.all_opened() if opened.nodes is not None]

    def _round(self) -> None:
        registries = self._registries()
        self._begun.intersection_update(registries)
        self._suspects = {registry: self._suspects.get(registry, set()) for registry in registries}
        for registry in registries:
            # On its own: neither another store nor what there is to sweep may hold up the signs of life.
            self._work(registry, "beat", self._beat)
            self._work(registry, "sweep", self._sweep)

    def _work(self, registry: NodeRegistry, role: str, work: Callable[[NodeRegistry], Any]) -> None:
        key = (registry, role)
        if key in self._working:  # the last one is still under way
            return
        self._working[key] = working = Deferred.fromCoroutine(self._attempt(registry, role, work))

        def done(_: object) -> None:
            del self._working[key]

        working.addBoth(done)

    async def _attempt(self, registry: NodeRegistry, role: str, work: Callable[[NodeRegistry], Any]) -> None:
        try:
            await work(registry)
        except RequestError as error:
            log.warning("liveness_failed", work=role, reason=str(error))
        # Whatever it is, there must be a next round.
        except Exception:
            log.exception("liveness_broke", work=role)

    async def _beat(self, registry: NodeRegistry) -> None:
        was_alive = await registry.beat()
        if not was_alive and registry in self._begun:
            log.warning("liveness_lapsed", node=registry.node)
            self._on_lapsed()
        self._begun.add(registry)
        await registry.write()

    async def _sweep(self, registry: NodeRegistry) -> None:
        missing = set(await registry.missing(PROCESSES))
        # Twice: one that is alive has shown itself in between, also if the store's clock has jumped.
        dead = missing & self._suspects.get(registry, set())
        self._suspects[registry] = missing
        for node in dead - {registry.node}:
            await self._sweep_node(registry, node)

    async def _sweep_node(self, registry: NodeRegistry, node: str) -> None:
        ended = 0
        while not self._stopping and not await registry.is_alive(node):
            held = await registry.held_by(node, AT_ONCE)
            if not held:
                await registry.remove(node)
                log.info("dead_node_swept", node=node, subscriptions=ended)
                return
            results = await DeferredList(
                [Deferred.fromCoroutine(self._end(registry, node, each)) for each in held]
            )
            if not all(done for _, done in results):
                return  # the next round goes on
            ended += len(held)

    async def _end(self, registry: NodeRegistry, node: str, subscription: SocketSubscription) -> bool:
        """End a subscription. Each step may be done twice, by two processes. False: it cannot be done now."""
        sequence = subscription.sequence

        async def end(store: MessageStore, queue: Queue) -> None:
            found = await store.get_subscription(queue, sequence)
            if found is not None:  # else its owner has ended it
                terms = SubscriptionTerms(found.subscriber, found.ttl, found.options)
                await registry.sweeps(node, subscription, terms)
                await store.unsubscribe(queue, sequence)

        try:
            with suppress(NoQueue):  # the queue is gone, and its subscriptions with it
                of = subscription.project, subscription.name, subscription.incarnation
                await self._router.run_on(*of, end)
            await registry.swept(node, subscription)
        except RequestError as error:
            log.warning("subscription_not_swept", queue=subscription.name, reason=str(error))
            return False
        return True

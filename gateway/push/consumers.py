"""The one owner of who gets leased messages on this node (streaming claims)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, TimeoutError, succeed

from gateway.push.dispatcher import Dispatcher
from gateway.push.lapses import Lapses
from gateway.push.subscriber import Sink
from gateway.push.worker import Worker
from protocol.body import Form
from protocol.errors import TooManyConsumers
from schemas import limits
from schemas.events import ClaimEndReason
from storage.base import MessageStore
from storage.errors import StoreUnavailable
from storage.events import Event
from storage.records import Consumer, Queue
from storage.router import Router
from storage.stores import Stores

READY = 5.0
"""Seconds until a queue's announcements have to be heard."""

_Key = tuple[int, bytes]
"""A consumer: the incarnation of its queue, and its claim."""


class Consumers:
    """Dispatchers by queue, consumers by socket.

    :param grace: seconds for which the leases of a socket that has closed wait for its client to come back.
    :param on_pushed: is told how many messages were pushed.
    """

    def __init__(
        self, reactor: Any, router: Router, stores: Stores, grace: float, on_pushed: Callable[[int], None]
    ) -> None:
        self._reactor = reactor
        self._router = router
        self._stores = stores
        self._grace = grace
        self._on_pushed = on_pushed
        self._dispatchers: dict[int, Dispatcher] = {}
        self._sinks: dict[Sink, dict[_Key, Worker]] = {}
        self._untold: dict[Sink, list[tuple[Queue, Worker, ClaimEndReason]]] = {}
        """What ended while its socket took nothing."""
        self._lapses = Lapses(reactor, router)

    def told(self, incarnation: int, event: Event) -> None:
        """The store announced something about a queue."""
        dispatcher = self._dispatchers.get(incarnation)
        if dispatcher is not None:
            dispatcher.told(event)

    def listening(self, incarnation: int) -> None:
        """The node listens to a queue, for the first time or again after its connection broke."""
        dispatcher = self._dispatchers.get(incarnation)
        if dispatcher is not None:
            dispatcher.listening()

    async def subscribe(self, sink: Sink, queue: Queue, terms: Consumer, form: Form, *, resume: bool) -> int:
        """Have messages leased to a socket; returns how many its claim holds already.

        :param resume: the claim may be there, and another consumer may have it, which then ends.

        Raises what the store raises, StoreUnavailable if the store's announcements cannot be heard,
        TooManyConsumers.
        """
        mine = self._sinks.get(sink, {})
        key = queue.incarnation, terms.claim
        if key not in mine and len(mine) >= limits.CONSUMERS_PER_SOCKET:
            raise TooManyConsumers(
                f"A socket may have {limits.CONSUMERS_PER_SOCKET} consumers. End one of them first."
            )
        opened = await self._stores.open(queue.pool)
        dispatcher = self._dispatchers.get(queue.incarnation)
        if dispatcher is None:
            dispatcher = self._dispatchers[queue.incarnation] = Dispatcher(
                self._reactor,
                queue,
                opened,
                self._router,
                on_pushed=self._on_pushed,
                on_ended=self._ended,
                on_left=self._lapses.begin,
            )
        else:
            dispatcher.followed.move(
                queue, opened
            )  # if the route has changed, and it has not heard of it yet
        dispatcher.joining += 1
        try:
            held = await self._join(dispatcher, Worker(sink, form, terms), opened.store, resume=resume)
        finally:
            dispatcher.joining -= 1
            self._drop_if_unused(dispatcher)
        if sink.closed:  # meanwhile
            self.closed(sink)
        elif not sink.may("claim_subscribe", queue):  # the operator has decided so meanwhile
            await self.end_forbidden(sink)
        return held

    async def _join(
        self, dispatcher: Dispatcher, worker: Worker, store: MessageStore, *, resume: bool
    ) -> int:
        queue = dispatcher.queue
        try:
            await dispatcher.ready(READY)
        except TimeoutError:
            raise StoreUnavailable("The message store does not announce messages at the moment.") from None
        known = dispatcher.workers.get(worker.terms.claim)
        changed = known if known is not None and known.sink is worker.sink else None  # it changes its terms
        if changed is not None:
            changed.left = worker.left = self._grace
            dispatcher.remove(changed)
            del self._sinks[worker.sink][queue.incarnation, worker.terms.claim]
        try:
            held = await self._take_claim(queue, worker, store, resume=resume)
        except BaseException:
            # It has ended. Its claim may know it by either token, and ends soon unless the client comes back.
            for gone in () if changed is None else (changed, worker):
                self._lapses.begin(queue, gone)
            raise
        worker.left = None
        key = queue.incarnation, worker.terms.claim
        known = dispatcher.workers.get(worker.terms.claim)
        if known is not None:
            dispatcher.overtaken(known)
        self._sinks.setdefault(worker.sink, {})[key] = worker
        dispatcher.add(worker)
        return held

    async def _take_claim(self, queue: Queue, worker: Worker, store: MessageStore, *, resume: bool) -> int:
        """Have the store lease to this consumer alone; returns how many its claim holds already."""
        if not resume:
            await store.sweep(queue)  # or it would be found out later that the queue is not there
            return 0
        adopted = await store.adopt_claim(queue, worker.terms, b"")
        assert adopted is not None
        held = len(worker.adopted(adopted))
        worker.behind = held > 0
        return held

    def leave(self, sink: Sink, queue: Queue, claim: bytes) -> bytes | None:
        """End a consumer of a socket. Returns the token that ends its claim; None: there is none."""
        worker = self._sinks.get(sink, {}).pop((queue.incarnation, claim), None)
        if worker is None:
            return None
        worker.left = 0.0
        self._remove(self._dispatchers[queue.incarnation], worker)
        return worker.terms.token

    def writable(self, sink: Sink) -> None:
        """A slow socket takes more."""
        untold = self._untold.pop(sink, [])
        for i, (queue, worker, reason) in enumerate(untold):
            if not worker.end(queue, reason):
                self._untold[sink] = untold[i:]
                return
        for (incarnation, _), worker in list(self._sinks.get(sink, {}).items()):
            self._dispatchers[incarnation].resume(worker)

    def closed(self, sink: Sink) -> None:
        """A socket has closed: its leases end soon, unless its client comes back to them."""
        self._untold.pop(sink, None)
        for (incarnation, _), worker in self._sinks.pop(sink, {}).items():
            self._let_go(self._dispatchers[incarnation], worker, self._grace)

    async def end_forbidden(self, sink: Sink) -> None:
        """Others speak on a socket now, or may do less: what they may not have leased is freed.

        Nothing more is leased, at once; returns when what was leased is free.
        """
        mine = self._sinks.get(sink, {})
        ending = []
        for key, worker in list(mine.items()):
            dispatcher = self._dispatchers[key[0]]
            if not sink.may("claim_subscribe", dispatcher.queue):
                ending.append(self._let_go(dispatcher, worker, 0.0))
                self._ended(dispatcher, worker, "not_permitted")
        await DeferredList(ending)

    def end_all_forbidden(self) -> None:
        """The operator has changed who may do what: begin the same on all sockets."""
        for sink in list(self._sinks):
            Deferred.fromCoroutine(self.end_forbidden(sink))

    def _let_go(self, dispatcher: Dispatcher, worker: Worker, seconds: float) -> Deferred[None]:
        """Lease nothing more to a consumer. Fires when the store knows how soon its claim ends, if it can."""
        worker.left = seconds
        self._remove(dispatcher, worker)
        return self._lapses.begin(dispatcher.queue, worker) if worker.may_hold else succeed(None)

    def _ended(self, dispatcher: Dispatcher, worker: Worker, reason: ClaimEndReason) -> None:
        queue, sink = dispatcher.queue, worker.sink
        mine = self._sinks.get(sink, {})
        if mine.get((queue.incarnation, worker.terms.claim)) is worker:
            del mine[queue.incarnation, worker.terms.claim]
        if not sink.closed and not worker.end(queue, reason):
            self._untold.setdefault(sink, []).append((queue, worker, reason))
        self._drop_if_unused(dispatcher)

    def _remove(self, dispatcher: Dispatcher, worker: Worker) -> None:
        dispatcher.remove(worker)
        self._drop_if_unused(dispatcher)

    def _drop_if_unused(self, dispatcher: Dispatcher) -> None:
        incarnation = dispatcher.queue.incarnation
        if not dispatcher.used and self._dispatchers.get(incarnation) is dispatcher:
            del self._dispatchers[incarnation]
            dispatcher.followed.close()

    def pause(self) -> None:
        """Lease nothing more: the node is about to stop. Leases lapse as their sockets close."""
        for dispatcher in self._dispatchers.values():
            dispatcher.pause()

    async def stop(self) -> None:
        """End all that is under way. The sockets are closed by now."""
        await self._lapses.stop()
        for dispatcher in list(self._dispatchers.values()):
            dispatcher.followed.close()
        self._dispatchers.clear()

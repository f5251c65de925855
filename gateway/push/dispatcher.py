"""The work of one queue for its consumers on this node.

The store decides: its script leases to a claim what is free, never more than the claim may hold. What it
announces says when it is worth to ask: messages came or became free, or a claim that was full holds less.
One timer is for the next delay or lease to end. So idle consumers cost nothing, and however many wait, a
message that comes is asked for once by each node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from gateway.dead_letters import deliver_claimed, rule
from gateway.push.followed_queue import FollowedQueue
from gateway.push.worker import Worker
from schemas import limits
from schemas.events import ClaimEndReason
from storage.errors import CatalogUnavailable, NoQueue, OutcomeUnknown, StaleQueue, TooFewReplicas
from storage.events import Announced, Due, Ended, Event, Free, Moved, Taken
from storage.records import Queue
from storage.router import Router
from storage.stores import OpenStore

BATCH = 20
"""Messages leased by one call."""


class Dispatcher:
    """Leases one queue's messages to its consumers on this node, in turns.

    :param on_pushed: is told how many messages were pushed.
    :param on_ended: is told which consumer gets no more, and why.
    :param on_left: is told which consumer may have been leased messages after it has gone.
    :param router: is asked where the queue is when it is not where it was, and for its metadata.
    """

    def __init__(
        self,
        reactor: Any,
        queue: Queue,
        opened: OpenStore,
        router: Router,
        *,
        on_pushed: Callable[[int], None],
        on_ended: Callable[[Dispatcher, Worker, ClaimEndReason], None],
        on_left: Callable[[Queue, Worker], object],
    ) -> None:
        self._reactor = reactor
        self._router = router
        self.followed = FollowedQueue(
            reactor,
            queue,
            opened,
            find=lambda: router.find_again(self.queue),
            on_back=self.listening,
            on_gone=self._end_all,
        )
        self._on_pushed = on_pushed
        self._on_ended = on_ended
        self._on_left = on_left
        self.workers: dict[bytes, Worker] = {}
        self.joining = 0
        """How many are about to come."""
        self._turns: dict[bytes, Worker] = {}
        """Those that may take more, in the order in which they are served."""
        self._leasing = False
        self._ask_again = False
        self._paused = False
        self._hearing: list[Deferred[None]] = []

    @property
    def queue(self) -> Queue:
        """The queue, as it is known now."""
        return self.followed.queue

    # Life

    @property
    def used(self) -> bool:
        """Whether it has consumers, or is about to."""
        return bool(self.workers or self.joining)

    async def ready(self, timeout: float) -> None:
        """Wait until announcements are heard. Raises TimeoutError after `timeout` seconds."""
        if not self.followed.heard:
            waiting: Deferred[None] = Deferred()
            self._hearing.append(waiting)
            await waiting.addTimeout(timeout, self._reactor)

    def pause(self) -> None:
        """Lease nothing more: the sockets are about to be closed."""
        self._paused = True

    def listening(self) -> None:
        """The node listens (again): what was announced before was missed, so the store is asked once."""
        self.followed.heard = True
        hearing, self._hearing = self._hearing, []
        for waiting in hearing:
            if not waiting.called:  # else it has timed out
                waiting.callback(None)
        for worker in self.workers.values():
            self._take_turn(worker)
        self._ask()

    # Consumers

    def add(self, worker: Worker) -> None:
        """A consumer comes."""
        self.workers[worker.terms.claim] = worker
        if worker.behind:
            self.resume(worker)
        else:
            self._take_turn(worker)
            self._ask()

    def remove(self, worker: Worker) -> None:
        """A consumer goes."""
        claim = worker.terms.claim
        if self.workers.get(claim) is worker:
            del self.workers[claim]
            self._turns.pop(claim, None)

    def resume(self, worker: Worker) -> None:
        """The socket takes more: push what the claim holds and was not pushed, then lease on."""
        if worker.behind:
            self.followed.tasks.begin(worker.terms.claim, lambda: self._catch_up(worker))

    def _end_all(self) -> None:
        """The queue is gone."""
        for worker in list(self.workers.values()):
            self._end(worker, "queue_deleted")

    def _end(self, worker: Worker, reason: ClaimEndReason) -> None:
        worker.left = 0.0
        self.remove(worker)
        self._on_ended(self, worker, reason)

    # What the store announces

    def told(self, event: Event) -> None:
        """The store announced something."""
        match event:
            case Announced():
                self._ask()
            case Free(messages, claims):
                known = [self.workers[claim] for claim in claims if claim in self.workers]
                for worker in known:
                    self._take_turn(worker)
                if messages or known:
                    self._ask()
            case Due(due_in):
                self._ask_in(due_in)
            case Taken(claim, number):
                taken = self.workers.get(claim)
                if taken is not None and taken.taken_by_other(number):
                    self.overtaken(taken)
            case Moved() | Ended(None, limits.SAFE_INTEGER):  # or removed with all that is in it
                self.followed.look()

    # Leasing

    def _take_turn(self, worker: Worker) -> None:
        if not worker.behind and worker.left is None:
            self._turns.setdefault(worker.terms.claim, worker)

    def _ask(self) -> None:
        """There may be work: see to it that the store is asked, by one call at a time."""
        self._ask_again = True
        if self._turns and not self._leasing:
            self.followed.tasks.begin("lease", self._lease)

    def _ask_in(self, seconds: float | None) -> None:
        async def ask() -> None:
            self._ask()

        if seconds is not None:
            self.followed.tasks.after("due", seconds, ask)

    async def _lease(self) -> None:
        if self._leasing:
            return
        self._leasing = True
        try:
            while self._ask_again and self._turns and not self._paused:
                self._ask_again = False
                worker = self._turns.pop(next(iter(self._turns)))
                if await self._lease_to(worker):
                    self._ask_again = True
        finally:
            self._leasing = False

    async def _lease_to(self, worker: Worker) -> bool:
        """Lease to one consumer, and push what it got. Returns whether there may be more to lease."""
        terms = worker.terms
        try:
            await self._refresh()
            queue, store = self.queue, self.followed.store
            leased = await store.lease(queue, terms, BATCH, 1 + len(self._turns), rule(queue))
        except (OutcomeUnknown, TooFewReplicas):
            if worker.left is not None:
                self._on_left(self.queue, worker)
                return True
            worker.behind = True
            self.resume(worker)
            return True
        except BaseException:  # whatever it is, nobody shall lose a turn by it
            self._take_turn(worker)
            self._ask_again = True
            raise
        if leased is None:
            self.overtaken(worker)
            return True
        if worker.left is not None:  # it has gone meanwhile; whoever saw to that may have come before this
            if leased.messages:
                self._on_left(queue, worker)
            return True
        self._on_pushed(worker.push(queue, leased.messages))
        if not worker.behind and worker.remembers_much:
            worker.behind = True
            self.resume(worker)
        if leased.held < terms.credit:
            self._take_turn(worker)
        self._ask_in(leased.due_in)
        if leased.dead_lettered:
            await deliver_claimed(self._router, store, queue)
        return leased.free > 0

    async def _refresh(self) -> None:
        """The queue's metadata may have changed."""
        try:
            found = await self._router.find(self.queue.project, self.queue.name)
        except CatalogUnavailable:
            return  # those that are known are good enough
        except NoQueue:
            raise StaleQueue from None
        if found.incarnation != self.queue.incarnation or found.pool != self.queue.pool:
            raise StaleQueue
        self.followed.queue = found

    async def _catch_up(self, worker: Worker) -> None:
        """Push what a claim holds and was not pushed; then its consumer takes part again."""
        if worker.catching_up or worker.left is not None:
            return
        worker.catching_up = True
        try:
            worker.rename()
            adopted = await self.followed.store.adopt_claim(self.queue, worker.terms, worker.before)
            if adopted is None:
                self.overtaken(worker)
                return
            missing = worker.adopted(adopted)
            for i in range(0, len(missing), BATCH):
                found = await self.followed.store.get_messages(
                    self.queue, missing[i : i + BATCH], only_readable=True
                )
                held = [each for each in found if each is not None and each.claim_id == worker.terms.claim]
                if self.workers.get(worker.terms.claim) is not worker:  # it has gone meanwhile
                    return
                pushed = worker.push(self.queue, held)
                self._on_pushed(pushed)
                if pushed < len(held):
                    return
        finally:
            worker.catching_up = False
        worker.behind = False
        self._take_turn(worker)
        self._ask()

    def overtaken(self, worker: Worker) -> None:
        """Another consumer has its claim by now."""
        if worker.left is None:
            self._end(worker, "taken_over")

"""Moves a queue from one pool's store to another's while clients use it.

::

    copying     the source notes what changes; the queue is copied page by page, then what has changed,
                until little is left
    switching   the source lets all requests wait for the queue, a second at the most; the rest is copied;
                the target is complete; the source lets the queue go and keeps its pool's name
    after that  requests go on there; the catalog's row is switched, by the mover or by whoever meets that
                name in the source

A mover may die at any moment: up to the end of `switching` the queue is where it was, and works; then it is
in its new pool. Moving it again goes on if the source has noted all changes since, else it begins anew. The
notes end a minute after the mover's last word, and the copy goes by itself after a day.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from twisted.internet.task import deferLater

from protocol.errors import RequestError
from storage.errors import MoveLapsed, MoveOvertaken, QueueMoved, StaleQueue
from storage.moves import MESSAGES, Move, MoveCatalog, MovingStore
from storage.records import Queue

FENCE = 1.0
"""Seconds that requests wait at the most."""

PATIENCE = 0.8
"""Seconds of them after which they are let go on, and all is tried again."""

TRIES = 10
"""How often that is done."""

PAUSE = 0.2
"""Seconds between the first two tries; it grows with each."""

FEW = 500
"""Changes that are few enough to let requests wait for them: one call copies them."""

CATCH_UP = 30.0
"""Seconds after which requests wait even for more: it is then tried whether they fit into `PATIENCE`."""

MANY = 10_000
"""Changes that are copied before the next page is, so that the notes stay short."""

RECORD = 1.0
"""Seconds between two records of the progress."""

STARTS = 3
"""How often a move begins anew because the source forgot its notes."""


class MoveFailed(Exception):
    """The queue was not moved. The message says why, and what becomes of it."""


class QueueDeleted(MoveFailed):
    """The queue was deleted while it moved."""


class MoveInterrupted(MoveFailed):
    """The move was stopped. It can be continued."""


class Progress(NamedTuple):
    """How far a move is."""

    step: str
    """As of `storage.moves.Move`."""
    copied: int
    """Messages copied page by page."""
    noted: int
    """Changes that wait to be copied."""


class Mover:
    """Moves one queue, once.

    :param reactor: Twisted's (which types it as a module).
    :param source: of the queue's pool in the catalog.
    :param target: of the pool that it goes to.
    :param on_progress: is told how far it is, many times a second.
    """

    def __init__(
        self,
        reactor: Any,
        catalog: MoveCatalog,
        source: MovingStore,
        target: MovingStore,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._reactor = reactor
        self._catalog = catalog
        self._source = source
        self._target = target
        self._on_progress = on_progress
        self._stopping = False
        self._token = os.urandom(16)
        self._copied = 0
        self._newest = 0
        self._recorded_at = 0.0

    def stop(self) -> None:
        """Have `run` raise MoveInterrupted soon, unless the queue is leaving just now."""
        self._stopping = True

    async def run(self, queue: Queue, to_pool: str) -> None:
        """Move a queue.

        Beside MoveFailed, it raises what the catalog and the stores raise; the move can be continued then.

        :raises UnknownPool: there is no such pool.
        :raises NoQueue: the catalog has no such queue (any more).
        :raises MoveUnfinished: the queue is on its way to a third pool.
        """
        if not self._source.identity or not self._target.identity:
            raise MoveFailed(
                "One of the two stores could not write down what tells it from others; give it memory, or "
                "let it write, and try again."
            )
        if self._source.identity == self._target.identity:
            raise MoveFailed(
                f"The pools {queue.pool} and {to_pool} are one store, or one is a copy of the other."
            )
        move = await self._catalog.begin_move(queue, to_pool)
        earlier = move.token
        for _ in range(STARTS):
            try:
                move = await self._begin(queue, move, earlier)
                move = await self._copy(queue, move)
                move = await self._leave(queue, move)
            except QueueMoved as moved:
                await self._switch(queue, moved.pool, earlier)
                if moved.pool != to_pool:
                    raise MoveFailed(f"Queue {queue.name} has moved to pool {moved.pool} already.") from None
                return
            except MoveOvertaken:
                raise MoveFailed(
                    f"Another program has begun to move queue {queue.name}; this one leaves it to that."
                ) from None
            except (MoveLapsed, StaleQueue):  # or the queue is gone: that shows when it begins
                earlier = self._token
            else:
                await self._switch(queue, to_pool, self._token)
                return
        raise MoveFailed(
            f"Queue {queue.name} could not be moved: the store of pool {queue.pool} forgot {STARTS} times "
            "what had changed. It is where it was."
        )

    async def _begin(self, queue: Queue, move: Move, earlier: bytes) -> Move:
        try:
            begun = await self._source.begin(queue, self._token, earlier)
        except StaleQueue:
            await self._target.clear(queue, earlier)
            await self._catalog.end_move(queue)
            raise QueueDeleted(f"Queue {queue.name} was deleted while it moved.") from None
        self._newest = begun.newest
        kept = await self._target.arrive(queue, self._token, earlier, keep=begun.kept)
        return await self._record(move, step="copying", progress=move.progress if kept else "")

    async def _record(self, move: Move, *, step: str, progress: str) -> Move:
        becomes = replace(move, token=self._token, step=step, progress=progress)
        if becomes != move and not await self._catalog.record_move(move, becomes):
            raise MoveOvertaken
        self._recorded_at = self._reactor.seconds()
        return becomes

    # Copying

    async def _copy(self, queue: Queue, move: Move) -> Move:
        """Copy all parts, from where the record says."""
        parts = list(self._source.parts)
        part, cursor, copied = move.progress.split(" ") if move.progress else (parts[0], "", "0")
        self._copied = int(copied)
        while True:
            page = await self._source.copy(queue, self._token, part, cursor, self._newest)
            if page.items:
                await self._target.put(queue, self._token, page.items)
                cursor = page.cursor
                if part in MESSAGES:
                    self._copied += len(page.items)
            self._tell("copying", page.noted)
            if not page.more:
                if part == parts[-1]:
                    break
                part, cursor = parts[parts.index(part) + 1], ""
            if page.noted > MANY:
                await self._catch_up(queue, MANY, CATCH_UP)
            if self._reactor.seconds() - self._recorded_at >= RECORD:
                move = await self._record(move, step="copying", progress=f"{part} {cursor} {self._copied}")
        return await self._record(move, step="copying", progress=f"{part} {cursor} {self._copied}")

    async def _catch_up(self, queue: Queue, enough: int, seconds: float) -> None:
        """Copy what has changed, until no more than `enough` is left or so many seconds are over."""
        deadline = self._reactor.seconds() + seconds
        left = enough + 1
        while left > enough and self._reactor.seconds() < deadline:
            left = await self._copy_changes(queue)
            self._tell("copying", left)

    async def _copy_changes(self, queue: Queue) -> int:
        """Copy one batch of what has changed; how much is left."""
        items, left = await self._source.take(queue, self._token)
        if items:
            await self._target.put(queue, self._token, items)
            await self._source.acknowledge(queue, self._token)
        return left

    def _tell(self, step: str, noted: int) -> None:
        self._on_progress(Progress(step, self._copied, noted))
        if self._stopping:
            raise MoveInterrupted("The move was stopped; the same command continues it.")

    # Switching

    async def _leave(self, queue: Queue, move: Move) -> Move:
        """Let requests wait, copy what is left, and let the queue go."""
        for attempt in range(1, TRIES + 1):
            await self._catch_up(queue, FEW, CATCH_UP)
            # This proves too that the catalog answers: without it nobody could say where the queue is.
            move = await self._record(move, step="switching", progress=move.progress)
            if await self._try_to_leave(queue, move.to_pool):
                return move
            move = await self._record(move, step="copying", progress=move.progress)
            await deferLater(self._reactor, attempt * PAUSE, lambda: None)
        raise MoveFailed(
            f"Queue {queue.name} could not be moved in {TRIES} tries: it changes too fast for the rest to be "
            f"copied in {PATIENCE} seconds. It is where it was. Try again when it is used less."
        )

    async def _try_to_leave(self, queue: Queue, to_pool: str) -> bool:
        """False: it takes too long. Requests have gone on."""
        deadline = self._reactor.seconds() + PATIENCE
        try:
            complete = await self._complete(queue, deadline)
            if complete and await self._source.depart(queue, self._token, to_pool):
                return True
        except RequestError:
            # They need not wait for the end of the fence; if the queue has left after all, this says so.
            await self._source.fence(queue, self._token, 0)
            raise
        await self._source.fence(queue, self._token, 0)
        await self._target.arrive(queue, self._token, self._token, keep=True)
        return False

    async def _complete(self, queue: Queue, deadline: float) -> bool:
        """Put up the fence and complete the copy. False: the time is up."""
        numbers = await self._source.fence(queue, self._token, FENCE)
        left = 1
        while left:
            left = await self._copy_changes(queue)
            if self._reactor.seconds() >= deadline:
                return False
        letters = 0
        while items := await self._source.outbox(queue, self._token, letters):
            await self._target.put(queue, self._token, items)
            letters += len(items)
            if self._reactor.seconds() >= deadline:
                return False
        await self._target.settle_in(queue, self._token, numbers, FENCE, letters)
        return bool(self._reactor.seconds() < deadline)

    async def _switch(self, queue: Queue, pool: str, token: bytes) -> None:
        """The queue has left for this pool: have the catalog say so."""
        with suppress(RequestError):  # who waits there does so for a second at the most
            await self._target.open(queue, token)
        if not await self._catalog.switch_pool(queue, pool):
            raise QueueDeleted(f"Queue {queue.name} was deleted, or moved on, while it moved.")
        await self._source.forget(queue)


async def abandon(
    catalog: MoveCatalog, source: MovingStore, target: MovingStore | None, queue: Queue, move: Move
) -> None:
    """End an unfinished move: the queue stays where it is. QueueMoved if it has left already.

    :param target: None if it is away; what was copied there goes by itself.
    """
    token = os.urandom(16)
    await source.begin(queue, token, b"")  # whoever is at it does not go on
    await source.give_up(queue, token)
    if target is not None:
        await target.clear(queue, move.token)
    await catalog.end_move(queue)

"""Brings dead letters from the outbox of the queue that gave them up to the queue that takes them.

The claim's script moves a message into the outbox of its own queue; this delivers it to the other one, which
knows it by its origin and takes it once, and then removes it from the outbox. Whoever claims delivers
a few batches at once; what is left, also after a crash, the sweeper delivers.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.base import MessageStore
from storage.errors import StaleQueue
from storage.records import DeadLetter, Queue, Waiting
from storage.router import Router

BATCH = 100
"""Dead letters delivered at a time."""

CLAIM_BATCHES = 4
"""Batches that a claim delivers before it is answered."""

log = get_logger(__name__)


def rule(queue: Queue) -> DeadLetter | None:
    """Where messages of a queue go that were claimed too often; None unless both settings are there."""
    settings = queue.settings
    if settings.max_claim_count is None or not settings.dead_letter_queue:
        return None
    return DeadLetter(settings.max_claim_count, settings.dead_letter_queue, settings.dead_letter_ttl)


async def deliver(router: Router, store: MessageStore, source: Queue) -> int:
    """Deliver all that waits in the outbox of `source`; returns how many. A missing target queue is created.

    Raises what the store and the catalog raise; what was not delivered stays in the outbox.
    """
    delivered = 0
    while done := await _deliver_batch(router, store, source):
        delivered += done
    return delivered


async def deliver_claimed(router: Router, store: MessageStore, source: Queue) -> None:
    """Deliver what a claim gave up just now, unless it is very much: the sweeper does the rest.

    Never fails: what the claim handed out must reach its client.
    """
    try:
        for _ in range(CLAIM_BATCHES):
            if await _deliver_batch(router, store, source) < BATCH:
                break
    except (RequestError, StaleQueue) as error:
        log.warning("dead_letters_wait", queue=source.name, reason=str(error))


async def _deliver_batch(router: Router, source_store: MessageStore, source: Queue) -> int:
    waiting = await source_store.waiting_dead_letters(source, BATCH)
    by_target: dict[str, list[Waiting]] = {}
    for letter in waiting:
        by_target.setdefault(letter.queue_name, []).append(letter)
    for name, letters in by_target.items():

        async def hand_over(store: MessageStore, target: Queue, letters: list[Waiting] = letters) -> None:
            # All at once: the store takes them in this order, and writes to its disk once.
            await _all(store.deliver_dead_letter(source, letter, target) for letter in letters)
            # If one of the two queues was removed just now, there is nothing left to forget.
            with suppress(StaleQueue):
                await _all(source_store.forget_dead_letter(source, letter) for letter in letters)
                await _all(store.dead_letter_arrived(source, letter, target) for letter in letters)

        await router.run(source.project, name, hand_over, create=True, for_dead_letters=True)
    return len(waiting)


async def _all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all calls; the first failure of any is raised when all have ended."""
    under_way = [Deferred.fromCoroutine(call) for call in calls]
    # Their failures are told, in place of their results, when all have ended.
    outcomes: list[tuple[bool, Any]] = await DeferredList(under_way, consumeErrors=True)
    for _, outcome in outcomes:
        if isinstance(outcome, Failure):
            outcome.raiseException()

"""Brings dead letters from the outbox of the queue that gave them up to the queue that takes them.

The claim's script moves a message into the outbox of its own queue; this delivers it to the other one, which
knows it by its origin and takes it once, and then removes it from the outbox. Whoever claims delivers at
once; what a crash leaves behind, the sweeper delivers.
"""

from __future__ import annotations

from contextlib import suppress

from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.base import MessageStore, Queue, Waiting
from storage.errors import StaleQueue
from storage.router import Router

BATCH = 100
"""Dead letters read from the outbox at a time."""

log = get_logger(__name__)


async def deliver(router: Router, store: MessageStore, source: Queue) -> int:
    """Deliver what waits in the outbox of `source`; returns how many. A missing target queue is created.

    Raises what the store and the catalog raise; what was not delivered stays in the outbox.
    """
    delivered = 0
    while waiting := await store.waiting_dead_letters(source, BATCH):
        for letter in waiting:
            await _deliver_one(router, source, letter)
        delivered += len(waiting)
    return delivered


async def deliver_claimed(router: Router, store: MessageStore, source: Queue) -> None:
    """Deliver what a claim gave up just now. Never fails: what the claim handed out must reach its client."""
    try:
        await deliver(router, store, source)
    except (RequestError, StaleQueue) as error:
        log.warning("dead_letters_wait", queue=source.name, reason=str(error))


async def _deliver_one(router: Router, source: Queue, letter: Waiting) -> None:
    async def hand_over(store: MessageStore, target: Queue) -> None:
        await store.deliver_dead_letter(source, letter, target)
        # If one of the two queues was removed just now, there is nothing left to forget.
        with suppress(StaleQueue):
            await store.forget_dead_letter(source, letter, target)

    await router.run(source.project, letter.queue_name, hand_over, create=True)

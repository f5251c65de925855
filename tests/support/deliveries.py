"""Who delivers to a queue's subscribers that are not sockets, called one call after the other."""

from __future__ import annotations

from typing import Any, Self

from storage.deliveries import Delivery, Undelivered
from storage.records import DeliveryCounts
from tests.support.reactor import run
from tests.support.store import LiveQueue

ALPHA, OMEGA = b"alpha---", b"omega---"
"""Two owners."""

KEYS = {"deliveries", "delivery_order"}
"""The names of the queue's keys that deliveries have."""


def letters(live: LiveQueue) -> list[tuple[int, str, int | None]]:
    """What waits in the outbox: sequence, queue and ttl there."""
    waiting = run(live.store.waiting_dead_letters, live.queue, 100)
    return [(each.sequence, each.queue_name, each.ttl) for each in waiting]


class Deliveries:
    """The deliveries of a queue, by one owner."""

    def __init__(self, live: LiveQueue, owner: bytes = ALPHA) -> None:
        self.live = live
        self.owner = owner

    def by(self, owner: bytes) -> Deliveries:
        """The same by another owner, who has not said so yet."""
        return Deliveries(self.live, owner)

    def own(self) -> Self:
        """Become the owner."""
        run(self.live.store.own_deliveries, self.live.queue, self.owner)
        return self

    def subscribe(self, subscriber: str = "http://here", ttl: int = 3600, *, confirmed: bool = True) -> int:
        """A subscriber to deliver to, who has no subscription yet; its sequence."""
        store, queue = self.live.store, self.live.queue
        made = run(lambda: store.subscribe(queue, subscriber, ttl, {}, confirmed=confirmed, deliver=True))
        assert made is not None
        return made.sequence

    def update(self, sequence: int, **changes: Any) -> bool | None:
        return run(lambda: self.live.store.update_subscription(self.live.queue, sequence, **changes))

    def unsubscribe(self, sequence: int) -> None:
        run(self.live.store.unsubscribe, self.live.queue, sequence)

    def counts(self, sequence: int) -> DeliveryCounts | None:
        """What the subscription tells to those who ask for it."""
        found = run(self.live.store.get_subscription, self.live.queue, sequence)
        return None if found is None else found.delivery

    def all(self, after: int = 0, limit: int = 1000) -> list[Delivery] | None:
        return run(self.live.store.deliveries, self.live.queue, self.owner, after, limit)

    def one(self, sequence: int) -> Delivery:
        """A delivery that has to be there, and the owner's."""
        (found,) = self.all(sequence - 1, 1) or []
        assert found.subscription.sequence == sequence
        return found

    def positions(self) -> dict[str, int]:
        """The places of all, by subscriber."""
        return {each.subscription.subscriber: each.position for each in self.all() or []}

    def page(self, sequence: int, after: int | None = None, limit: int = 1000) -> Undelivered | None:
        """What comes next; behind its place, or another."""
        after = self.one(sequence).position if after is None else after
        return run(self.live.store.undelivered, self.live.queue, self.owner, sequence, after, limit)

    def delivered(self, sequence: int, position: int, count: int = 1) -> bool:
        return run(self.live.store.delivered, self.live.queue, self.owner, sequence, position, count)

    def postponed(self, sequence: int, attempts: int, seconds: float = 5, error: str = "refused") -> bool:
        store, queue = self.live.store, self.live.queue
        return run(store.delivery_postponed, queue, self.owner, sequence, attempts, seconds, error)

    def failed(
        self,
        sequence: int,
        message: int,
        position: int | None = None,
        error: str = "410 Gone",
        dead_letter: tuple[str, int | None] | None = None,
    ) -> bool:
        """A message is given up, which stands at its sequence unless it says otherwise."""
        store, queue = self.live.store, self.live.queue
        place = message if position is None else position
        return run(store.delivery_failed, queue, self.owner, sequence, message, place, error, dead_letter)

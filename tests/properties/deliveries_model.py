"""A queue with subscribers that are delivered to, as the tests understand it: no keys, no scripts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from storage.deliveries import Delivery, Undelivered
from storage.records import DeliveryCounts, Gap, Subscription
from tests.properties.model import Letter, QueueModel
from tests.support.store import SECOND


@dataclass
class Hook:
    """A subscription that is delivered to."""

    sequence: int
    subscriber: str
    ttl: int
    since: int
    confirmed: bool
    position: int
    attempts: int = 0
    due: int = 0
    delivered: int = 0
    failed: int = 0
    missed: int = 0
    missed_to: int = 0
    error: str = ""

    @property
    def expires(self) -> int:
        return self.since + self.ttl * SECOND


@dataclass
class DeliveriesModel(QueueModel):
    """As `QueueModel`. Subscriptions are all delivered to."""

    hooks: dict[int, Hook] = field(default_factory=dict)
    owner: bytes | None = None
    visible: int = 0
    lost: tuple[int, str] = (0, "")
    """The highest position that a message left, and why."""
    _there: dict[int, int] = field(default_factory=dict)
    """The positions of visible messages when they were last looked at."""

    # What happens to messages

    def boundaries(self) -> list[int]:
        return sorted({*super().boundaries(), *(hook.expires for hook in self.hooks.values())})

    def _begin(self) -> None:
        self._notice("deleted")  # what was done last
        super()._begin()
        self._notice("expired")
        self.hooks = {key: hook for key, hook in self.hooks.items() if hook.expires > self.time}

    def _notice(self, reason: str) -> None:
        """Find out what has left, and what is the newest."""
        gone = [position for sequence, position in self._there.items() if sequence not in self.messages]
        if gone and max(gone) > self.lost[0]:
            self.lost = max(gone), reason
        visible = [message for message in self.messages.values() if message.visible_at is None]
        self._there = {message.sequence: message.position for message in visible}
        self.visible = max(self.visible, *self._there.values(), 0)

    def purge(self) -> None:
        super().purge()
        self._notice("purged")
        self.hooks.clear()

    def purge_subscriptions(self) -> None:
        self._begin()
        self.hooks.clear()

    # Subscriptions

    def subscribe(self, subscriber: str, ttl: int, confirmed: bool) -> int | None:
        self._begin()
        if any(hook.subscriber == subscriber for hook in self.hooks.values()):
            return None
        number = self._draw()
        self.hooks[number] = Hook(number, subscriber, ttl, number, confirmed, self.visible)
        return number

    def update(
        self,
        sequence: int,
        subscriber: str | None,
        ttl: int | None,
        confirmed: bool | None,
        keep_place: bool,
    ) -> bool | None:
        self._begin()
        if sequence not in self.hooks:
            return None
        read_at = self.time
        self._begin()  # the store reads first, and then writes
        hook = self.hooks.get(sequence)
        if hook is None:
            return None
        if subscriber is not None and subscriber != hook.subscriber:
            if any(other.subscriber == subscriber for other in self.hooks.values()):
                return False
            hook.subscriber, hook.attempts, hook.due = subscriber, 0, 0
        if ttl is not None:
            hook.ttl, hook.since = ttl, read_at
        if confirmed and not hook.confirmed and not keep_place:
            self._advance(hook, self.visible)
        hook.confirmed = hook.confirmed if confirmed is None else confirmed
        return True

    def unsubscribe(self, sequence: int) -> None:
        self._begin()
        self.hooks.pop(sequence, None)

    def counts(self, sequence: int) -> DeliveryCounts | None:
        self._begin()
        return _counts(self.hooks[sequence]) if sequence in self.hooks else None

    # Deliveries

    def own(self, owner: bytes) -> None:
        self._begin()
        self.owner = owner

    def deliveries(self, owner: bytes, after: int, limit: int) -> list[Delivery] | None:
        self._begin()
        if owner != self.owner:
            return None
        found = [hook for sequence, hook in sorted(self.hooks.items()) if sequence > after]
        return [self._told_hook(hook) for hook in found[:limit]]

    def undelivered(self, owner: bytes, sequence: int, after: int, limit: int) -> Undelivered | None:
        hook = self._owned(owner, sequence, after)
        if hook is None:
            return None
        gap = None
        if self.lost[0] > max(after, hook.missed_to):
            hook.missed, hook.missed_to = hook.missed + 1, self.lost[0]
            gap = Gap(after, *self.lost)
        visible = [each for each in self._in_order() if each.visible_at is None and each.position > after]
        told = [self._told(message) for message in visible[:limit]]
        return Undelivered(told, told[-1].position if told else after, gap)

    def delivered(self, owner: bytes, sequence: int, position: int, count: int) -> bool:
        hook = self._owned(owner, sequence, position)
        if hook is not None and self._advance(hook, position):
            hook.delivered += count
        return hook is not None

    def postponed(self, owner: bytes, sequence: int, attempts: int, seconds: float, error: str) -> bool:
        hook = self._owned(owner, sequence, 0)
        if hook is not None:
            hook.attempts, hook.due, hook.error = attempts, self.time + round(seconds * SECOND), error
        return hook is not None

    def given_up(
        self,
        owner: bytes,
        sequence: int,
        message: int,
        position: int,
        error: str,
        dead_letter: tuple[str, int | None] | None,
    ) -> bool:
        hook = self._owned(owner, sequence, position)
        if hook is not None and self._advance(hook, position):
            hook.failed, hook.error = hook.failed + 1, error
            kept = self.messages.get(message)
            if kept is not None and dead_letter is not None:
                self.outbox.append(Letter(replace(kept), *dead_letter))
        return hook is not None

    def _owned(self, owner: bytes, sequence: int, position: int) -> Hook | None:
        self._begin()
        return self.hooks.get(sequence) if owner == self.owner and position <= self.visible else None

    def _advance(self, hook: Hook, position: int) -> bool:
        if position <= hook.position:
            return False
        hook.position, hook.attempts, hook.due = position, 0, 0
        return True

    def _told_hook(self, hook: Hook) -> Delivery:
        age = max(0, self.time - hook.since) // SECOND
        subscription = Subscription(
            hook.sequence, hook.subscriber, hook.ttl, age, {}, hook.confirmed, _counts(hook)
        )
        due_in = max(0, hook.due - self.time) / SECOND
        return Delivery(subscription, hook.position, hook.attempts, due_in, b"")


def _counts(hook: Hook) -> DeliveryCounts:
    return DeliveryCounts(hook.delivered, hook.failed, hook.missed, hook.error)

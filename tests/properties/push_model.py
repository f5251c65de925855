"""A queue as its subscribers see it: what each has to get, and what it is told that it misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from storage.records import Message

SECOND = 1_000_000


@dataclass
class Item:
    """A message."""

    sequence: int
    number: int
    expires: int
    due: int
    """When it becomes visible; its own sequence if it is not delayed."""
    position: int | None
    """None while it is delayed."""


@dataclass
class PushModel:
    """The messages by sequence, and where those stood that have gone."""

    items: dict[int, Item] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    """The highest position that a message left, by reason."""
    places: dict[int, int] = field(default_factory=dict)
    """The position of each number that ever was visible."""
    visible: int = 0

    def post(self, sequences: Sequence[int], numbers: Sequence[int], ttl: int, delay: int) -> None:
        """Messages that say these numbers were stored; ttl and delay in seconds."""
        for sequence, number in zip(sequences, numbers, strict=True):
            due = sequence + delay * SECOND
            item = self.items[sequence] = Item(sequence, number, sequence + ttl * SECOND, due, None)
            if not delay:
                self._show(item, sequence)

    def remove(self, sequence: int, reason: str) -> None:
        """A message leaves. What was never visible is missed by nobody."""
        item = self.items.pop(sequence, None)
        if item is not None and item.position is not None:
            self.gone[reason] = max(self.gone.get(reason, 0), item.position)

    def purge(self) -> None:
        """All messages leave."""
        for sequence in list(self.items):
            self.remove(sequence, "purged")

    def expire(self, now: int) -> None:
        """Those leave whose time is over."""
        for item in list(self.items.values()):
            if item.expires <= now:
                self.remove(item.sequence, "expired")

    def show(self, now: int, shown: Sequence[Message]) -> None:
        """Those whose delay has ended are `shown` behind all others, in the order in which it ended."""
        ended = sorted(
            (item for item in self.items.values() if item.position is None and item.due <= now),
            key=lambda item: (item.due, item.sequence),
        )
        assert [message.sequence for message in shown] == [item.sequence for item in ended]
        for item, message in zip(ended, shown, strict=True):
            self._show(item, message.position)

    def _show(self, item: Item, position: int) -> None:
        item.position = self.visible = self.places[item.number] = position

    def gap(self, position: int) -> tuple[int, int, str] | None:
        """What those miss who have got all up to a position."""
        reason = max(self.gone, key=lambda each: self.gone[each], default="")
        if self.gone.get(reason, 0) <= position:
            return None
        return position, self.gone[reason], reason

    def behind(self, position: int) -> list[int]:
        """The numbers of the visible messages behind a position, in order."""
        places = [
            (item.position, item.number)
            for item in self.items.values()
            if item.position is not None and item.position > position
        ]
        return [number for _, number in sorted(places)]

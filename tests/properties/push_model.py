"""A queue as its subscribers see it: what each has to get, and what it is told that it misses."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    visible: int = 0

    def remove(self, sequence: int, reason: str) -> None:
        """A message leaves. What was never visible is missed by nobody."""
        item = self.items.pop(sequence, None)
        if item is not None and item.position is not None:
            self.gone[reason] = max(self.gone.get(reason, 0), item.position)

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

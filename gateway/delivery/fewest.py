"""Who is next: of those who wait, the one who has the fewest."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Fewest(Generic[T]):
    """Items by a number. Each step is O(1), but for the look at which numbers there are."""

    def __init__(self) -> None:
        self._items: dict[int, dict[T, None]] = {}
        self._numbers: dict[T, int] = {}

    def put(self, item: T, number: int) -> None:
        """Have an item wait with its number; it keeps its place if it waits with that already."""
        if self._numbers.get(item) != number:
            self.remove(item)
            self._numbers[item] = number
            self._items.setdefault(number, {})[item] = None

    def remove(self, item: T) -> None:
        """Let an item wait no more, if it does."""
        number = self._numbers.pop(item, None)
        if number is not None:
            del self._items[number][item]
            if not self._items[number]:
                del self._items[number]

    def first(self) -> T | None:
        """The item with the smallest number, and of several the one that came first; None: nobody waits."""
        return next(iter(self._items[min(self._items)])) if self._items else None

"""How many bytes the messages of each project have, as far as this process knows.

No script sees more than one queue, so the sweeper adds up what the queues say of themselves as it goes round.
What this process posts itself is added at once, what others post shows when the sweeper comes by: until
then a project may go over its limit by that much, and what it has deleted is still counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from protocol.errors import ProjectFull
from storage.records import Queue


@dataclass(slots=True)
class _Measured:
    project: str
    size: int
    round: int
    """In which it was seen or posted to last."""


class Usage:
    """The bytes of each project. `most` that each may have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queues: dict[int, _Measured] = {}
        self._projects: Counter[str] = Counter()
        self._round = 0

    def check(self, project: str, more: int) -> None:
        """Raise ProjectFull if a project would have more than it may with so many bytes more."""
        if self._projects[project] + more > self._most:
            raise ProjectFull(
                f"The messages of the project may have {self._most} bytes, and with these they would have "
                "more. Delete some first; it takes some seconds until that is seen."
            )

    def posted(self, queue: Queue, more: int) -> None:
        """So many bytes were posted to a queue by this process."""
        known = self._queues.get(queue.incarnation)
        self._set(queue, more if known is None else known.size + more)

    def measured(self, queue: Queue, size: int) -> None:
        """The messages of a queue have so many bytes."""
        self._set(queue, size)

    def seen(self, queue: Queue) -> None:
        """A queue is there, whether it can be measured or not."""
        known = self._queues.get(queue.incarnation)
        if known is not None:
            known.round = self._round

    def end_round(self) -> None:
        """All queues that there are have been seen: forget those that were neither seen nor posted to."""
        for incarnation, known in list(self._queues.items()):
            if known.round < self._round:
                del self._queues[incarnation]
                self._add(known.project, -known.size)
        self._round += 1

    def _set(self, queue: Queue, size: int) -> None:
        known = self._queues.get(queue.incarnation)
        if known is None:
            self._queues[queue.incarnation] = _Measured(queue.project, size, self._round)
            self._add(queue.project, size)
        else:
            self._add(queue.project, size - known.size)
            known.size, known.round = size, self._round

    def _add(self, project: str, more: int) -> None:
        self._projects[project] += more
        if not self._projects[project]:
            del self._projects[project]

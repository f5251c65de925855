"""When Python looks for garbage in cycles, and where it does not.

A search stops everything, for about half a microsecond per object that it looks at: 50 ms and more with
5,000 sockets. What lives long is therefore taken out of the search (`gc.freeze`): all that is there after the
start, and what sockets have once some have come or gone. A socket that is closed leaves no cycles behind, so
it frees itself.
"""

from __future__ import annotations

import gc

YOUNG = 2_000
"""New objects after which they are searched, about 1 ms."""

TURNOVER = 50
"""Sockets that are opened or closed between two freezes; each has, or is about to free, some 30 objects."""


def settle() -> None:
    """After the start: what is there stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 5, 5)


class Burst:
    """Counts sockets that come and go, so that many at once do not make the next searches long."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def count(self) -> None:
        """A socket was opened or closed."""
        self._count += 1
        if self._count % TURNOVER == 0:
            gc.collect(0)  # so that little is frozen that is garbage already
            gc.freeze()

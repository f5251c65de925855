"""When Python looks for garbage in cycles, and where it does not.

A search stops everything, for about half a microsecond per object that it looks at: 50 ms and more with
5,000 sockets. What lives long is therefore taken out of the search (`gc.freeze`): all that is there after the
start, and sockets once some have been opened. What is closed frees itself: a socket leaves no cycles behind.
"""

from __future__ import annotations

import gc

YOUNG = 2_000
"""New objects after which they are searched, about 1 ms."""

OPENED = 50
"""Sockets that are opened between two freezes; each has some 30 objects."""


def settle() -> None:
    """After the start: what is there stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 5, 5)


class Burst:
    """Counts sockets that are opened, so that many at once do not make the next searches long."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened = 0

    def opened(self) -> None:
        """A socket was opened."""
        self._opened += 1
        if self._opened % OPENED == 0:
            gc.collect(0)  # so that little is frozen that is garbage already
            gc.freeze()

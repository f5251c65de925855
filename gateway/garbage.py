"""When Python looks for garbage in cycles, and where it does not.

A search stops everything, for a quarter to half a microsecond per object that it looks at: 80 ms for what the
program itself consists of, and some 50 ms more with 5,000 sockets. So what lives long is taken out of the
search (`gc.freeze`): all that is there after the start, and what has survived two searches since. What is
searched is therefore always little. Sockets and requests leave no cycles behind, they free themselves. Should
anything become garbage in cycles after it was taken out, a search of everything finds it once memory has
doubled. That is far: after the start memory consists of 570,000 blocks, and a subscribed socket of 40. 5,000
sockets are not searched as a whole; 13,000 are, once.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from twisted.internet.task import LoopingCall

YOUNG = 2_000
"""New objects after which they are searched, in up to 1 ms: more than what 64 requests at work consist of."""

ROUNDS = 1
"""After more such searches all that survived them is searched once more, in some 2 ms, and taken out."""

GROWTH = 2
"""How many times the blocks of memory at the last search of everything there are before the next."""

INTERVAL = 60.0
"""Seconds between two looks at how much memory there is."""


class Searches:
    """The searches for garbage of this process."""

    def __init__(self, reactor: Any) -> None:
        self._blocks = 0
        self._loop = LoopingCall(self.search_if_grown)
        self._loop.clock = reactor

    def start(self) -> None:
        """After the start of the node: what is there stays, and from now on searches are short."""
        gc.collect(1)  # not everything: the node listens already, and little would be found
        gc.freeze()
        gc.set_threshold(YOUNG, ROUNDS, ROUNDS)
        gc.callbacks.append(_searched)
        self._blocks = sys.getallocatedblocks()
        self._loop.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Take nothing more out."""
        if self._loop.running:
            self._loop.stop()
            gc.callbacks.remove(_searched)

    def search_if_grown(self) -> None:
        """Search everything, which takes long, if memory has grown so much that it may be garbage."""
        if sys.getallocatedblocks() > GROWTH * self._blocks:
            gc.unfreeze()
            gc.collect()
            self._blocks = sys.getallocatedblocks()


def _searched(phase: str, info: dict[str, int]) -> None:
    """A search begins or ends (gc.callbacks): what has survived the second is not searched again."""
    if phase == "stop" and info["generation"] > 0:
        gc.freeze()

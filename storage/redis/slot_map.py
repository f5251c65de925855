"""Which primary of a cluster serves which slot."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from protocol.errors import Unavailable
from storage.errors import StoreUnavailable
from storage.redis.address import Address, Node
from storage.redis.client import ServerClient
from storage.redis.link import Target
from storage.redis.slots import SLOTS

ASK_TIMEOUT = 1.0
"""Seconds that a node has for telling its map; then the next is asked."""

REFRESH_SOON = 0.05
"""Seconds from the first hint that the map is old to a new one: what comes meanwhile shares it."""

REFRESH_UNHEALTHY = 0.5
"""Seconds between two maps while something is wrong: a node is away, or a slot has none."""

REFRESH_HEALTHY = 10.0
"""Seconds between two maps otherwise."""


class SlotMap:
    """Which primary serves which slot.

    It is read anew when somebody hints that it is old (`refresh`), every half a second while `is_healthy`
    says no, and every ten seconds in any case. `on_change` is told after each reading.
    """

    def __init__(
        self,
        reactor: Any,
        address: Address,
        is_healthy: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._is_healthy = is_healthy
        self._on_change = on_change
        self._owners: list[Node | None] = [None] * SLOTS
        self._timer: IDelayedCall | None = None
        self._task: Deferred[None] | None = None
        self._reading = False
        self._again = False
        self._stopped = False
        self.primaries: frozenset[Node] = frozenset()
        """The nodes that serve slots; empty until the first map was read."""
        self.why = ""
        """Why no node told a map."""

    def start(self) -> None:
        """Read the map, and keep it up to date."""
        self._stopped = False
        self._read_in(0)

    def stop(self) -> None:
        """Read it no more."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def owner(self, slot: int) -> Node | None:
        """The node that serves the slot, as far as is known."""
        return self._owners[slot]

    def is_complete(self) -> bool:
        """Whether every slot is served."""
        return None not in self._owners

    def moved(self, slot: int, node: Node) -> None:
        """A node said that the slot is elsewhere (MOVED)."""
        self._owners[slot] = node
        self.primaries |= {node}
        self.refresh()

    def refresh(self) -> None:
        """The map may be old: read it soon."""
        if self._reading:
            self._again = True
        else:
            self._read_in(REFRESH_SOON)

    def _read_in(self, seconds: float) -> None:
        if self._stopped:
            return
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._reactor.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._task = Deferred.fromCoroutine(self._read())
        self._task.addErrback(lambda failure: None if self._stopped else failure)

    async def _read(self) -> None:
        self._reading, self._again = True, False
        nodes = [*self.primaries]
        random.shuffle(nodes)  # so that one whose view is old is not asked each time
        try:
            for node in [*nodes, *self._address.nodes]:
                try:
                    self._take(await self._ask(node), node)
                    break
                except Unavailable as error:
                    self.why = f" {error}"
        finally:
            self._reading = False
        self._on_change()
        healthy = self._is_healthy()
        self._read_in(REFRESH_SOON if self._again else REFRESH_HEALTHY if healthy else REFRESH_UNHEALTHY)

    async def _ask(self, node: Node) -> Sequence[Any]:
        client = ServerClient(self._reactor, Target(self._reactor, self._address, node), ASK_TIMEOUT)
        client.start()
        try:
            await client.link.attempted(ASK_TIMEOUT)
            await client.connected(0)
            ranges: Sequence[Any] = await client.execute("CLUSTER", "SLOTS")
        finally:
            await client.stop()
        if not ranges:
            raise StoreUnavailable("The node knows no slots: it is alone.")
        return ranges

    def _take(self, ranges: Sequence[Any], told_by: Node) -> None:
        owners: list[Node | None] = [None] * SLOTS
        for first, last, primary, *_ in ranges:
            # A cluster that does not tell its nodes' addresses means: where you have asked.
            node = Node(primary[0].decode() if primary[0] else told_by.host, primary[1])
            owners[first : last + 1] = [node] * (last - first + 1)
        self._owners = owners
        self.primaries = frozenset(node for node in owners if node is not None)

"""Waits until enough replicas have what a connection wrote (WAIT), for many callers at once."""

from __future__ import annotations

import hiredis
from twisted.internet.defer import Deferred

from protocol.errors import Unavailable
from storage.errors import OutcomeUnknown, TooFewReplicas
from storage.redis.connection import StoreConnection


class Replicas:
    """Lets writes be answered when `count` replicas have them.

    WAIT counts what was written on its own connection, and on that one only: a new connection, maybe to
    another primary, would say yes to everything. It holds up its connection until the replicas have it, so
    one is under way at a time, and those who come meanwhile share the next. `timeout`: seconds for each.
    """

    def __init__(self, count: int, timeout: float) -> None:
        self._count = count
        self._timeout = timeout
        self._next: dict[StoreConnection, list[Deferred[None]]] = {}
        """Who waits for the next WAIT, by connection; only connections with one under way are in here."""

    async def have_it(self, connection: StoreConnection) -> None:
        """Wait until enough replicas have what was written on the connection.

        Raises TooFewReplicas, or OutcomeUnknown if the connection broke, or its server became a replica.
        """
        waiting: Deferred[None] = Deferred()
        asking = connection in self._next
        self._next.setdefault(connection, []).append(waiting)
        if not asking:
            Deferred.fromCoroutine(self._ask(connection))
        await waiting

    async def _ask(self, connection: StoreConnection) -> None:
        while waiting := self._next[connection]:
            self._next[connection] = []
            outcome = await self._wait(connection)
            for each in waiting:
                if outcome is None:
                    each.callback(None)
                else:
                    each.errback(outcome)
        del self._next[connection]

    async def _wait(self, connection: StoreConnection) -> TooFewReplicas | OutcomeUnknown | None:
        try:
            have = await connection.send("WAIT", self._count, int(self._timeout * 1000))
        except Unavailable:
            have = None
        if have is None or isinstance(have, hiredis.ReplyError):
            return OutcomeUnknown("Written, but the connection broke before the replicas were heard.")
        if have < self._count:
            return TooFewReplicas(
                f"Written, but {have} of {self._count} replicas have it: a failover may lose it."
            )
        return None

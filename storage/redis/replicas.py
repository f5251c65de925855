"""Waits until enough replicas have what a connection wrote (WAIT), for many callers at once."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from storage.errors import TooFewReplicas
from storage.redis.client import StoreClient


class Replicas:
    """Lets writes be answered when `count` replicas have them.

    WAIT holds up its connection until the replicas have all that was written on it, so one is under way at a
    time, and those who come meanwhile share the next. `timeout`: seconds for each.
    """

    def __init__(self, client: StoreClient, count: int, timeout: float) -> None:
        self._client = client
        self._count = count
        self._timeout = timeout
        self._next: list[Deferred[None]] = []
        self._asking = False

    async def have_it(self) -> None:
        """Wait until enough replicas have all that was written until now. Raises TooFewReplicas."""
        waiting: Deferred[None] = Deferred()
        self._next.append(waiting)
        if not self._asking:
            self._asking = True
            Deferred.fromCoroutine(self._ask())
        await waiting

    async def _ask(self) -> None:
        while self._next:
            waiting, self._next = self._next, []
            outcome: Failure | None = None
            try:
                have = await self._client.execute("WAIT", self._count, int(self._timeout * 1000))
                if have < self._count:
                    raise TooFewReplicas(
                        f"Written, but {have} of {self._count} replicas have it: a failover may lose it."
                    )
            except Exception:  # noqa: BLE001  # whatever it is, each of those who wait is told
                outcome = Failure()
            for each in waiting:
                each.callback(outcome)
        self._asking = False

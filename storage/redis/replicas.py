"""Waits until enough replicas have what a connection wrote (WAIT), for many callers at once."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from protocol.errors import Unavailable
from storage.errors import OutcomeUnknown, TooFewReplicas
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
        self._next: list[tuple[int, Deferred[None]]] = []
        self._asking = False

    async def have_it(self, connection: int) -> None:
        """Wait until enough replicas have what was written on the connection of this number.

        Raises TooFewReplicas, or OutcomeUnknown if that connection broke: a later one knows nothing of it.
        """
        waiting: Deferred[None] = Deferred()
        self._next.append((connection, waiting))
        if not self._asking:
            self._asking = True
            Deferred.fromCoroutine(self._ask())
        await waiting

    async def _ask(self) -> None:
        while self._next:
            waiting, self._next = self._next, []
            asked, outcome = self._client.connection_number, await self._outcome()
            for connection, each in waiting:
                each.callback(outcome if connection == asked else Failure(_unknown()))
        self._asking = False

    async def _outcome(self) -> Failure | None:
        try:
            have = await self._client.execute("WAIT", self._count, int(self._timeout * 1000))
        except Unavailable:
            return Failure(_unknown())
        except Exception:  # noqa: BLE001  # whatever else it is, those who wait are told
            return Failure()
        if have >= self._count:
            return None
        return Failure(
            TooFewReplicas(f"Written, but {have} of {self._count} replicas have it: a failover may lose it.")
        )


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("Written, but the connection broke before the replicas were heard.")

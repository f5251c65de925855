"""Runs scripts on a queue's keys: loads them if the server forgot, goes on while more is due, retries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from twisted.internet.task import deferLater

from protocol.errors import Unavailable
from storage.errors import OutcomeUnknown, StoreBusy
from storage.records import Queue
from storage.redis.client import Argument, StoreClient
from storage.redis.connection import Reply, StoreConnection
from storage.redis.refusals import ScriptUnknown
from storage.redis.replicas import Replicas
from storage.redis.scripts import Script

RECONNECT_PATIENCE = 2.0
"""Seconds that a repeatable command waits for a new connection when its own broke."""

MOVING_PAUSE = 0.02
LONGEST_PAUSE = 0.1
"""Seconds between two attempts while the queue leaves for another pool, which takes a second at the most."""

_BUSY = {
    b"AGAIN": "The queue has more due work than fits the request's time.",
    b"MOVING": "The queue is being moved. Try again.",
}


def head_key(queue: Queue) -> bytes:
    """The key that all keys of a queue are derived from. Its hash tag keeps them in one slot."""
    return _keys(queue.incarnation)[0]


@lru_cache(maxsize=10_000)
def _keys(incarnation: int) -> tuple[bytes, bytes]:
    """The keys that are named with every script: the head, and one of its slot that never exists.

    While a slot of a cluster moves key by key, the server would run a script on what is already, or still,
    there, and end it in the middle at the first key that is not. Of the keys that a script names one is then
    missing: it is refused as a whole (TRYAGAIN, ASK) until the slot has moved.
    """
    return b"zg:{%016x}:head" % incarnation, b"zg:{%016x}:absent" % incarnation


def channel(queue: Queue) -> bytes:
    """The sharded channel on which a queue's events are announced."""
    return b"zg:{%016x}:events" % queue.incarnation


class ScriptRunner:
    """Runs the store's scripts.

    What writes goes through `writer` and is answered when the `replicas` have it too. `clock_offset`
    (microseconds) moves the store's clock; only tests do.
    """

    def __init__(
        self,
        reactor: Any,
        client: StoreClient,
        timeout: float,
        writer: StoreClient | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._timeout = timeout
        self._writer = writer or client
        self._replicas = replicas
        self.clock_offset = 0

    async def run(self, script: Script, queue: Queue, *arguments: Argument, repeatable: bool) -> Reply:
        """Run a script and return its answer.

        A `repeatable` one, which does no more the second time, is sent once more when the connection breaks
        before the time is up. OutcomeUnknown if that brings no answer either.
        Raises what storage.errors names; StaleQueue if the queue is not here.
        """
        deadline = self._reactor.seconds() + self._timeout
        unknown: OutcomeUnknown | None = None
        client = self._writer if script.writes else self._client
        pause = MOVING_PAUSE
        while True:
            try:
                if unknown is not None:
                    await client.connected(RECONNECT_PATIENCE, head_key(queue))
                reply, connection = await self._evaluate(client, script, queue, arguments)
            except OutcomeUnknown as error:
                if not repeatable or unknown is not None or self._reactor.seconds() > deadline:
                    raise
                unknown = error
                continue
            except Unavailable as error:
                # The first attempt may have been done, whatever became of the second.
                raise unknown or error from None
            if reply not in (b"AGAIN", b"MOVING"):
                if script.writes and self._replicas is not None:
                    await self._replicas.have_it(connection)
                return reply
            # A few hundred due records were handled; the next call goes on. Each makes progress.
            if self._reactor.seconds() > deadline:
                raise unknown or StoreBusy(_BUSY[reply])
            if reply == b"MOVING":  # nothing was done
                await deferLater(self._reactor, pause, lambda: None)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _evaluate(
        self, client: StoreClient, script: Script, queue: Queue, arguments: tuple[Argument, ...]
    ) -> tuple[Reply, StoreConnection]:
        return await evaluate(client, script, _keys(queue.incarnation), self.clock_offset, *arguments)


async def evaluate(
    client: StoreClient, script: Script, keys: Sequence[bytes], *arguments: Argument
) -> tuple[Reply, StoreConnection]:
    """Run a script on keys of one slot, once; its answer as it is. Raises what `StoreClient.send` raises."""
    rest = (len(keys), *keys, *arguments)
    try:
        return await client.send(keys[0], "EVALSHA", script.sha, *rest, with_timeline=script.opens)
    except ScriptUnknown:
        return await client.send(keys[0], "EVAL", script.source, *rest, with_timeline=script.opens)

"""Runs scripts on a queue's keys: loads them if the server forgot, goes on while more is due, retries."""

from __future__ import annotations

from typing import Any

from protocol.errors import Unavailable
from storage.base import Queue
from storage.errors import OutcomeUnknown, StoreBusy, TooFewReplicas
from storage.redis.client import ScriptUnknown, StoreClient
from storage.redis.connection import Reply
from storage.redis.scripts import Script

RECONNECT_PATIENCE = 2.0
"""Seconds that a repeatable command waits for a new connection when its own broke."""

Argument = bytes | str | int


def head_key(queue: Queue) -> bytes:
    """The key that all keys of a queue are derived from. Its hash tag keeps them in one slot."""
    return b"zg:{%016x}:head" % queue.incarnation


def channel(queue: Queue) -> bytes:
    """The sharded channel on which a queue's events are announced."""
    return b"zg:{%016x}:events" % queue.incarnation


class ScriptRunner:
    """Runs the store's scripts.

    What writes is answered when `min_replicas` replicas have it too. `clock_offset` (microseconds) moves the
    store's clock; only tests do.
    """

    def __init__(self, reactor: Any, client: StoreClient, timeout: float, min_replicas: int = 0) -> None:
        self._reactor = reactor
        self._client = client
        self._timeout = timeout
        self._min_replicas = min_replicas
        self.clock_offset = 0

    async def run(self, script: Script, queue: Queue, *arguments: Argument, repeatable: bool) -> Reply:
        """Run a script and return its answer.

        A `repeatable` one, which does no more the second time, is sent again, once, when the connection breaks
        before the time is up. OutcomeUnknown if that brings no answer either.
        Raises what storage.errors names; StaleQueue if the queue is not here.
        """
        deadline = self._reactor.seconds() + self._timeout
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                if unknown is not None:
                    await self._client.connected(RECONNECT_PATIENCE)
                reply = await self._evaluate(script, queue, arguments)
            except OutcomeUnknown as error:
                if not repeatable or unknown is not None or self._reactor.seconds() > deadline:
                    raise
                unknown = error
                continue
            except Unavailable as error:
                # The first attempt may have been done, whatever became of the second.
                raise unknown or error from None
            if reply != b"AGAIN":
                if script.writes and self._min_replicas:
                    await self._wait_for_replicas()
                return reply
            # A few hundred due records were handled; the next call goes on. Each makes progress.
            if self._reactor.seconds() > deadline:
                raise unknown or StoreBusy("The queue has more due work than fits the request's time.")

    async def _wait_for_replicas(self) -> None:
        """See that enough replicas have all that this connection wrote (WAIT). Raises TooFewReplicas."""
        # Half of the time: the answer must come before the connection is given up as stalled.
        have = await self._client.execute("WAIT", self._min_replicas, int(self._timeout * 500))
        if have < self._min_replicas:
            raise TooFewReplicas(
                f"Written, but only {have} of {self._min_replicas} replicas have it: a failover may lose it."
            )

    async def _evaluate(self, script: Script, queue: Queue, arguments: tuple[Argument, ...]) -> Reply:
        key = head_key(queue)
        try:
            return await self._client.execute("EVALSHA", script.sha, 1, key, self.clock_offset, *arguments)
        except ScriptUnknown:
            return await self._client.execute("EVAL", script.source, 1, key, self.clock_offset, *arguments)

"""Runs scripts on a queue's keys: loads them if the server forgot, goes on while more is due, retries."""

from __future__ import annotations

from typing import Any

from protocol.errors import Unavailable
from storage.base import Queue
from storage.errors import OutcomeUnknown, StoreBusy
from storage.redis.client import ScriptUnknown, StoreClient
from storage.redis.connection import Reply
from storage.redis.replicas import Replicas
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
        while True:
            try:
                if unknown is not None:
                    await client.connected(RECONNECT_PATIENCE)
                connection = client.connection_number
                reply = await self._evaluate(client, script, queue, arguments)
            except OutcomeUnknown as error:
                if not repeatable or unknown is not None or self._reactor.seconds() > deadline:
                    raise
                unknown = error
                continue
            except Unavailable as error:
                # The first attempt may have been done, whatever became of the second.
                raise unknown or error from None
            if reply != b"AGAIN":
                if script.writes and self._replicas is not None:
                    await self._replicas.have_it(connection)
                return reply
            # A few hundred due records were handled; the next call goes on. Each makes progress.
            if self._reactor.seconds() > deadline:
                raise unknown or StoreBusy("The queue has more due work than fits the request's time.")

    async def _evaluate(
        self, client: StoreClient, script: Script, queue: Queue, arguments: tuple[Argument, ...]
    ) -> Reply:
        key = head_key(queue)
        try:
            return await client.execute("EVALSHA", script.sha, 1, key, self.clock_offset, *arguments)
        except ScriptUnknown:
            return await client.execute("EVAL", script.source, 1, key, self.clock_offset, *arguments)

"""The messages that a consumer works on: each in a task of its own, none twice at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from zaqar_gateway_client.records import Message

SETTLING: Final = 5.0
"""Seconds that messages have to be acknowledged or given back when a consumer stops."""

Work = Callable[["Job"], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Job:
    """Work on one message."""

    message: Message
    task: asyncio.Task[None] | None = None
    settling: bool = False
    """The handler has ended; the message is being acknowledged or given back."""
    settled: bool = False
    """The gateway knows that this lease is over."""
    dropped: bool = False
    """It was cancelled: its lease was lost, or the consumer stops."""
    next: Message | None = None
    """The same message, leased again before this job had quite ended."""


class Jobs:
    """All that a consumer works on.

    :param remembered: how many leases that are over are remembered, because an event that was under way may
        still tell of them.
    """

    def __init__(self, remembered: int) -> None:
        self._jobs: dict[str, Job] = {}
        self._remembered = remembered
        self._over: OrderedDict[tuple[str, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._jobs)

    def ids(self) -> set[str]:
        """Ids of the messages that are worked on."""
        return set(self._jobs)

    def has_task(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether this task works on one of them."""
        return any(job.task is task for job in self._jobs.values())

    def offer(self, message: Message, work: Work) -> None:
        """A message is leased. Begins to work on it, unless that is done already, or was done."""
        job = self._jobs.get(message.id)
        if job is not None:
            if job.settling and message.claim_count > job.message.claim_count:
                job.next = message
        elif (message.id, message.claim_count) not in self._over:
            self._begin(message, work)

    def drop_unsettled(self, ids: Iterable[str]) -> int:
        """Cancel the handlers of messages whose lease is lost, unless they have ended; tells how many."""
        dropped = 0
        for message_id in ids:
            job = self._jobs.get(message_id)
            if job is not None and not job.settling and not job.dropped:
                self._drop(job)
                dropped += 1
        return dropped

    async def finish(self, wait: float) -> None:
        """Wait for all work, at most `wait` seconds, then cancel the handlers; what was done is told."""
        if wait > 0:
            await self._wait(wait)
        self.drop_unsettled(self.ids())
        await self._wait(SETTLING)
        self.drop()
        await self._wait(None)

    def drop(self) -> None:
        """Cancel all work, also what is being told."""
        for job in list(self._jobs.values()):
            self._drop(job)

    async def _wait(self, seconds: float | None) -> None:
        tasks = {job.task for job in self._jobs.values() if job.task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _begin(self, message: Message, work: Work) -> None:
        job = Job(message)
        self._jobs[message.id] = job
        job.task = asyncio.get_running_loop().create_task(self._run(job, work))

    async def _run(self, job: Job, work: Work) -> None:
        try:
            await work(job)
        finally:
            del self._jobs[job.message.id]
            if job.settled:
                self._over[job.message.id, job.message.claim_count] = None
                while len(self._over) > self._remembered:
                    self._over.popitem(last=False)
            if job.next is not None and not job.dropped:
                self._begin(job.next, work)

    @staticmethod
    def _drop(job: Job) -> None:
        job.dropped = True
        if job.task is not None:
            job.task.cancel()

"""Posts to one queue that come in one turn of the reactor: one script stores them.

Where many clients post to a queue at the same time, a script for each post would be most of what they cost,
here and in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from storage.errors import QueueFull
from storage.records import Queue, Room
from storage.redis import scripts
from storage.redis.client import Argument
from storage.redis.runner import ScriptRunner
from storage.sending import at_turn_end

MAX_RECORDS = 4096
"""Bytes of records that are stored together: more would be announced without its messages (common.lua)."""

Packed = Sequence[bytes | int]
"""Messages as post.lua takes them: ttl and delay in seconds, and the record, of one after the other."""

_Post = tuple[Packed, Deferred[int]]


class _Batch:
    """Posts that are stored together."""

    __slots__ = ("posts", "queue", "room", "size")

    def __init__(self, queue: Queue, room: Room) -> None:
        self.queue = queue
        self.room = room
        self.posts: list[_Post] = []
        self.size = 0


class Posts:
    """Stores messages without a dedup_id, those of one turn together, in the order in which they came.

    Each post is stored wholly or not at all, and answered for itself.
    """

    def __init__(self, reactor: Any, runner: ScriptRunner) -> None:
        self._reactor = reactor
        self._runner = runner
        self._batches: list[_Batch] = []
        self._open: dict[int, _Batch] = {}
        """The last batch of each queue, by incarnation."""

    def post(self, queue: Queue, room: Room, messages: Packed, size: int) -> Deferred[int]:
        """Store messages; fires with the sequence of the first, which the others follow without a gap.

        `room`: how much the queue may hold; `size`: bytes of the records. Fails with what
        `ScriptRunner.run` raises.
        """
        batch = self._open.get(queue.incarnation)
        if batch is None or batch.size + size > MAX_RECORDS:
            if not self._batches:
                at_turn_end(self._reactor, self._send)
            batch = self._open[queue.incarnation] = _Batch(queue, room)
            self._batches.append(batch)
        answer: Deferred[int] = Deferred()
        batch.posts.append((messages, answer))
        batch.size += size
        return answer

    def _send(self) -> None:
        batches, self._batches = self._batches, []
        self._open.clear()
        for batch in batches:
            Deferred.fromCoroutine(self._store(batch.queue, batch.room, batch.posts))

    async def _store(self, queue: Queue, room: Room, posts: Sequence[_Post]) -> None:
        arguments: list[Argument] = [*room]
        for messages, _ in posts:
            arguments += messages
        try:
            sequence = await self._runner.run(scripts.POST, queue, *arguments, repeatable=False)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait are told
            if isinstance(error, QueueFull) and len(posts) > 1:
                # Together they do not fit: those that do one by one are stored.
                for post in posts:
                    Deferred.fromCoroutine(self._store(queue, room, [post]))
                return
            for _, answer in posts:
                answer.errback(error)
            return
        for messages, answer in posts:
            answer.callback(sequence)
            sequence += len(messages) // 3

"""`zaqar-gateway post`: many messages, in order, without waiting for each."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from gateway.client_commands.lines import read_lines
from gateway.client_commands.output import Output
from zaqar_gateway_client import Gateway, NewMessage, Queue

IN_FLIGHT = 8
"""Posts that wait for their answer at a time."""

BATCH = 100
"""Messages in one post, at most."""

BATCH_BYTES = 131_072
"""Bytes of input in one post, but for a single message: half of what a queue takes by default."""


class InputError(Exception):
    """The input cannot be understood. The message says where and why."""


async def post(gateway: Gateway, options: Any, output: Output) -> int:
    """Post what the command line or stdin has; the ids go to stdout as they are known."""
    posting = _Posting(gateway.queue(options.queue), output, options.timeout)
    try:
        async for batch in _batches(options):
            await posting.add(batch)
    finally:
        # What was sent before a line that cannot be read is stored, and told.
        await posting.finish()
    return 0


class _Posting:
    """Sends batches side by side and tells their ids in order, each as soon as it may."""

    def __init__(self, queue: Queue, output: Output, timeout: float) -> None:
        self._queue = queue
        self._output = output
        self._timeout = timeout
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._last: asyncio.Task[None] | None = None
        self._posted = 0
        self._began_at = time.monotonic()

    async def add(self, batch: list[NewMessage]) -> None:
        """Send a batch, when there is room. Raises what an earlier one has failed with."""
        await self._room.acquire()
        if self._last is not None and self._last.done():
            await self._last
        posted = asyncio.create_task(self._queue.post_many(batch, timeout=self._timeout))
        self._last = asyncio.create_task(self._tell(posted, self._last))

    async def finish(self) -> None:
        """Wait for all. Raises the first failure."""
        try:
            if self._last is not None:
                await self._last
        finally:
            self._output.end_progress()
        if self._output.for_people:
            self._output.say(f"{self._posted} posted")

    async def _tell(self, posted: asyncio.Task[list[str]], before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await before
            ids = await posted
        except ValueError as error:  # JSON tells more than a message may hold: NaN, half of a character
            raise InputError(f"a message cannot be posted: {error}") from None
        except BaseException:
            posted.cancel()
            await asyncio.gather(posted, return_exceptions=True)
            raise
        finally:
            self._room.release()
        self._posted += len(ids)
        if not self._output.for_people:
            for message_id in ids:
                self._output.line({"id": message_id}, flush=False)
            self._output.flush()
        rate = self._posted / max(time.monotonic() - self._began_at, 0.001)
        self._output.progress(f"{self._posted:,} posted  {rate:,.0f}/s")


async def _batches(options: Any) -> AsyncIterator[list[NewMessage]]:
    batch: list[NewMessage] = []
    size = 0
    number = 0
    async for lines in _input(options):
        for line in lines:
            number += 1
            if not line.strip() and not options.text:
                continue
            where = f"message {number}" if options.bodies else f"line {number}"
            if batch and (len(batch) == BATCH or size + len(line) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(NewMessage(_body(line, where, options.text), ttl=options.ttl, delay=options.delay))
            size += len(line)
        if batch:  # whatever has come; a pipe may be slow
            yield batch
            batch, size = [], 0


async def _input(options: Any) -> AsyncIterator[list[bytes]]:
    if options.bodies:
        yield [body.encode(errors="surrogateescape") for body in options.bodies]
        return
    try:
        async for lines in read_lines(sys.stdin.fileno()):
            yield lines
    except OSError as error:
        raise InputError(f"stdin cannot be read: {error.strerror}") from error


def _body(line: bytes, where: str, is_text: bool) -> Any:
    try:
        text = line.decode()
        return text if is_text else json.loads(text)
    except UnicodeDecodeError:
        raise InputError(f"{where} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error} (for plain texts: --text)") from None

"""`zaqar-gateway claim QUEUE --run PROGRAM`: a program for each message."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from gateway.client_commands.output import Output
from zaqar_gateway_client import Gateway, Message
from zaqar_gateway_client.codec import encode


class ProgramFailed(Exception):
    """The program did not end with 0."""


async def work(gateway: Gateway, options: Any, output: Output) -> int:
    """Run it until stopped, or for `--count` messages. What it writes goes where this command's goes."""
    begun = running = failed = 0
    enough = asyncio.Event()

    async def run(message: Message) -> None:
        nonlocal begun, running, failed
        if begun == options.count:
            await asyncio.Event().wait()  # one too many: it is given back when the consumer stops
        begun += 1
        running += 1
        try:
            await _run(options.program, message)
        except (ProgramFailed, OSError) as error:
            failed += 1
            output.say(f"message {message.id}: {error}")
            raise
        finally:
            running -= 1
            if begun == options.count and not running:
                enough.set()

    async with gateway.consume(
        options.queue, run, concurrency=options.concurrency, ttl=options.ttl
    ) as consumer:
        ended = asyncio.create_task(consumer.join())
        counted = asyncio.create_task(enough.wait())
        try:
            await asyncio.wait((ended, counted), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
        finally:
            ended.cancel()
            counted.cancel()
    return 1 if failed else 0


async def _run(program: list[str], message: Message) -> None:
    body = encode({"": message.body}, "json")
    assert isinstance(body, str)
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "ZAQAR_QUEUE": message.queue,
            "ZAQAR_MESSAGE_ID": message.id,
            "ZAQAR_CLAIM_COUNT": str(message.claim_count),
        },
    )
    try:
        await process.communicate(f"{body[4:-1]}\n".encode())
    finally:
        if process.returncode is None:  # the lease was lost, or this command stops
            process.terminate()
            await process.wait()
    if process.returncode:
        raise ProgramFailed(f"{program[0]} ended with {process.returncode}")

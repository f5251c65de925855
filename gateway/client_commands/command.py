"""Runs `zaqar-gateway post`, `tail`, `claim` and the like."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from gateway.client_commands import posting, working
from gateway.client_commands.output import Output
from zaqar_gateway_client import (
    Gap,
    Gateway,
    GatewayError,
    Message,
    NotFound,
    RequestFailed,
    Stats,
    connect,
)

DONE, REFUSED, MISUSED, NOTHING, UNREACHED = range(5)
"""Exit codes, beside 128 and the number of a signal."""

HEARTBEAT = 5.0
"""Seconds between pings: a person looks at a `tail` that is cut off."""

STATS_AT_A_TIME = 16
"""Queues whose counts are asked for at a time."""


class ClientCommandError(Exception):
    """The command was not done. The message says why; `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def run(command: str, given: Mapping[str, Any]) -> int:
    """Run one of `options.COMMANDS` and return its exit code.

    :raises ClientCommandError: it was not done.
    """
    # What the client logs of connections that break and come back is for who asks for it.
    logging.getLogger("zaqar_gateway_client").setLevel(logging.CRITICAL)
    options = argparse.Namespace(**given)
    output = Output(options.json)
    try:
        return asyncio.run(_until_signal(command, options, output))
    except RequestFailed as error:
        raise ClientCommandError(str(error), REFUSED) from error
    except (GatewayError, TimeoutError) as error:
        raise ClientCommandError(str(error), UNREACHED) from error
    except posting.InputError as error:
        raise ClientCommandError(str(error), MISUSED) from error
    except BrokenPipeError:
        # Nobody reads any more, as with `| head`; what is still buffered must not be written at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    finally:
        output.end_progress()


async def _until_signal(command: str, options: Any, output: Output) -> int:
    """Run it; a signal ends it in order: leases are given back."""
    ended = 0
    loop = asyncio.get_running_loop()
    work = loop.create_task(_connected(command, options, output))

    def end(number: int) -> None:
        nonlocal ended
        ended = number
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not ended:
            raise
        return 128 + ended


async def _connected(command: str, options: Any, output: Output) -> int:
    get_token = None if options.token is None else lambda: str(options.token)
    async with connect(
        options.url,
        project=options.project,
        get_token=get_token,
        timeout=options.timeout,
        heartbeat=HEARTBEAT,
    ) as gateway:
        return await _ACTIONS[command](gateway, options, output)


async def _tail(gateway: Gateway, options: Any, output: Output) -> int:
    count = 0
    async with gateway.subscribe(options.queue, from_=options.from_) as subscription:
        async for item in subscription.events():
            if isinstance(item, Message):
                count += 1
                output.message(item, flush=not subscription.waiting or count == options.count)
                if count == options.count:
                    break
            elif (gap := item if isinstance(item, Gap) else item.gap) is not None:
                output.say(f"messages are missing behind {gap.start}, up to {gap.end}: {gap.reason}")
    return DONE


async def _claim(gateway: Gateway, options: Any, output: Output) -> int:
    if options.program:
        return await working.work(gateway, options, output)
    claim = await gateway.queue(options.queue).claim(limit=options.limit, ttl=options.ttl)
    for message in claim.messages:
        output.message(message)
    if claim and output.for_people:
        output.say(f"claim {claim.id}")
    return DONE if claim else NOTHING


async def _ack(gateway: Gateway, options: Any, output: Output) -> int:
    queue = gateway.queue(options.queue)
    for message_id in options.ids:
        await queue.delete_message(message_id, claim_id=options.claim)
    return DONE


async def _release(gateway: Gateway, options: Any, output: Output) -> int:
    await gateway.call("claim_delete", {"queue_name": options.queue, "claim_id": options.claim})
    return DONE


async def _pop(gateway: Gateway, options: Any, output: Output) -> int:
    found = await gateway.queue(options.queue).pop(options.count)
    for message in found:
        output.message(message)
    return DONE if found else NOTHING


async def _queues(gateway: Gateway, options: Any, output: Output) -> int:
    names = [name async for name in gateway.queues()]
    asking = asyncio.Semaphore(STATS_AT_A_TIME)

    async def count(name: str) -> Stats | None:
        async with asking:
            try:
                return await gateway.queue(name).stats()
            except NotFound:  # deleted meanwhile
                return None

    counted = zip(names, await asyncio.gather(*map(count, names)), strict=True)
    found = [(name, stats) for name, stats in counted if stats is not None]
    if output.for_people and found:
        rows = [[name, str(stats.free), str(stats.claimed), str(stats.total)] for name, stats in found]
        output.table([["queue", "free", "claimed", "total"], *rows])
    elif not output.for_people:
        for name, stats in found:
            output.line({"name": name, **_counts(stats)})
    return DONE if found else NOTHING


async def _stats(gateway: Gateway, options: Any, output: Output) -> int:
    try:
        stats = await gateway.queue(options.queue).stats()
    except NotFound:
        raise ClientCommandError(f"there is no queue {options.queue}", REFUSED) from None
    ages = {key: message.age for key in ("oldest", "newest") if (message := getattr(stats, key)) is not None}
    if output.for_people:
        rows = [["messages", ""], *([name, str(count)] for name, count in _counts(stats).items())]
        output.table([*rows, *([f"{name} is", f"{age} s old"] for name, age in ages.items())])
    else:
        output.line({**_counts(stats), **{f"{name}_age": age for name, age in ages.items()}})
    return DONE


def _counts(stats: Stats) -> dict[str, int]:
    return {"free": stats.free, "claimed": stats.claimed, "total": stats.total}


_ACTIONS = {
    "post": posting.post,
    "tail": _tail,
    "claim": _claim,
    "ack": _ack,
    "release": _release,
    "pop": _pop,
    "queues": _queues,
    "stats": _stats,
}

#!/usr/bin/env python3
"""A guest agent: takes commands from a queue, does them, and reports back.

It lives as long as its machine. Commands come from the queue `agent-NAME-commands`, one after the other::

    {"command": "facts"}
    {"command": "run", "argv": ["systemctl", "restart", "nginx"], "timeout": 60}

Reports go to the queue `agent-reports`, one for each command, with the command's message id. Every
`--interval` seconds a message to `agent-liveness` tells that it lives. It is gone after a minute, so whoever
reads that queue sees who is there. Under systemd (Type=notify) it tells that it is ready, and feeds the
watchdog.

Killed at any moment, it gets the command that it had not finished again when it is back. So a command may run
twice, but it is reported once: reports have the command's id as `dedup_id`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zaqar_gateway_client import Gateway, GatewayError, GetToken, Message, connect

REPORTS = "agent-reports"
LIVENESS = "agent-liveness"

LIVENESS_TTL = 60
"""Seconds after which a sign of life is gone; the least that a message can have."""

OUTPUT_LIMIT = 32_768
"""Bytes of a program's output that are reported; in JSON they can be six times as many."""

log = logging.getLogger("guest-agent")


class CommandError(Exception):
    """The command cannot be done. The message says why, and is reported."""


class Agent:
    """One agent on one connection."""

    def __init__(self, gateway: Gateway, name: str, allowed: set[str]) -> None:
        self.name = name
        self._gateway = gateway
        self._allowed = allowed
        self._began_at = time.time()

    async def handle(self, message: Message) -> None:
        """Do one command and report. When this returns the report is stored, and the command is deleted."""
        log.info("command %s: %r", message.id, message.body)
        report: dict[str, Any] = {"agent": self.name, "command_id": message.id}
        try:
            report |= {"status": "done", "result": await self._do(message.body)}
        except CommandError as error:
            report |= {"status": "failed", "reason": str(error)}
        await self._gateway.queue(REPORTS).post(report, dedup_id=f"report-{message.id}")
        log.info("command %s: %s", message.id, report["status"])

    async def _do(self, command: Any) -> Any:
        match command:
            case {"command": "facts"}:
                return {
                    "host": platform.node(),
                    "system": platform.platform(),
                    "agent_began_at": self._began_at,
                }
            case {"command": "run", "argv": [str(program), *arguments]} if all(
                isinstance(argument, str) for argument in arguments
            ):
                if program not in self._allowed:
                    raise CommandError(f"{program} is not allowed here")
                timeout = command.get("timeout", 60)
                if not isinstance(timeout, int | float):
                    raise CommandError("timeout is no number")
                return await _run([program, *arguments], timeout)
            case _:
                raise CommandError("it is neither facts nor run")

    async def tell_liveness(self, interval: float) -> None:
        """Post a sign of life now and then, until cancelled."""
        while True:
            notify("WATCHDOG=1")
            sign = {"agent": self.name, "began_at": self._began_at, "at": time.time()}
            # While there is no connection, the next sign says more than this one later.
            with contextlib.suppress(GatewayError):
                await self._gateway.queue(LIVENESS).post(sign, ttl=LIVENESS_TTL, timeout=interval)
            await asyncio.sleep(interval)


async def _run(argv: list[str], timeout: float) -> dict[str, Any]:
    """Run a program; its exit code and the end of what it wrote."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise CommandError(f"{argv[0]} cannot be run: {error.strerror}") from error
    except ValueError as error:  # such as a null character in an argument
        raise CommandError(f"{argv[0]} cannot be run: {error}") from error
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except TimeoutError:
        raise CommandError(f"{argv[0]} did not end within {timeout:g} seconds") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return {"exit_code": process.returncode, "output": output[-OUTPUT_LIMIT:].decode(errors="replace")}


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)). Nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.sendto(state.encode(), address.replace("@", "\0", 1))


def on_signal(act: Callable[[], object]) -> None:
    """What SIGTERM and Ctrl-C do from now on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


async def serve(options: argparse.Namespace) -> None:
    """Connect, and work until SIGTERM. Cancelled by SIGTERM before it is ready."""
    ended = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    on_signal(task.cancel)

    def read_token() -> str:
        """Read each time: whoever renews the token replaces the file."""
        token: str = options.token_file.read_text().strip()
        return token

    get_token: GetToken | None = None if options.token_file is None else read_token
    async with connect(options.url, project=options.project, get_token=get_token, timeout=300) as gateway:
        agent = Agent(gateway, options.name, set(options.allow))
        consumer = gateway.consume(f"agent-{options.name}-commands", agent.handle)
        await consumer.start()
        on_signal(ended.set)
        notify("READY=1")
        log.info("agent %s is ready", options.name)
        work = [
            asyncio.create_task(consumer.join()),
            asyncio.create_task(agent.tell_liveness(options.interval)),
            asyncio.create_task(ended.wait()),
        ]
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        await consumer.stop(wait=20)  # a command that runs may finish
        for task in work:
            task.cancel()
        for task in done:
            task.result()  # what went wrong, if anything did


def main() -> int:
    """The command line; exit code 1 where systemd is to start it again."""
    parser = argparse.ArgumentParser(description="Do what a queue says, and report.")
    parser.add_argument("--url", default="ws://127.0.0.1:9000/", help="the gateway; default: %(default)s")
    parser.add_argument("--project", default="demo", help="whose queues; default: %(default)s")
    parser.add_argument("--name", default=platform.node(), help="of this agent; default: the host's")
    parser.add_argument("--token-file", type=Path, help="file with the token, if the gateway wants one")
    parser.add_argument(
        "--allow", metavar="PROGRAM", action="append", default=[], help="may be run; repeatable"
    )
    parser.add_argument(
        "--interval", metavar="SECONDS", type=float, default=20, help="between signs of life; default: 20"
    )
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(serve(parser.parse_args()))
    except GatewayError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

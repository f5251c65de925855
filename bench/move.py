"""What a move of a queue costs: how long it takes, how long its clients wait, and CPU.

::

    python -m bench.move [--messages 100000] [--clients 4] [--pause 0]

Starts two private Valkey servers without persistence and a SQLite catalog in a temporary folder, and moves a
queue of messages of 100 bytes between them by the command, in a process of its own, while clients post three
messages or claim and delete three, one request after the other. Waits are those of their requests.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import redis
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater, react
from twisted.internet.utils import getProcessOutputAndValue

from bench.store import CLIENT, post, start_server
from protocol.body import Body, Form
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import QueueMoved, StaleQueue
from storage.pools import Pool
from storage.records import NewMessage, Queue
from storage.redis.store import RedisStore

BATCH = [NewMessage(Body(Form.JSON, b'"' + b"x" * 98 + b'"'), 3600)] * 3
WARM_UP = 3.0
"""Seconds of traffic before the move."""


class Clients:
    """The traffic: half of the clients post, half claim and delete."""

    def __init__(self, reactor: Any, stores: dict[str, RedisStore], queue: Queue, pause: float) -> None:
        self._reactor = reactor
        self._stores = stores
        self._queue = queue
        self._pause = pause
        self._pool = "default"
        self.running = True
        self.waits: list[float] = []

    async def run(self, number: int) -> None:
        """One client."""
        while self.running:
            if number % 2:
                await self._ask("post", BATCH, CLIENT)
            else:
                claim = uuid.uuid4().bytes
                claimed = await self._ask("create_claim", claim, 60, 60, 3, None)
                if claimed.messages:
                    sequences = [message.sequence for message in claimed.messages]
                    await self._ask("delete_messages", sequences, [claim])
            if self._pause:
                await deferLater(self._reactor, self._pause, lambda: None)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        began = self._reactor.seconds()
        while True:
            store = self._stores[self._pool]
            try:
                answer = await getattr(store, method)(self._queue, *arguments)
                break
            except StaleQueue:
                try:
                    await store.create(self._queue)
                except QueueMoved as moved:
                    self._pool = moved.pool
        self.waits.append(self._reactor.seconds() - began)
        return answer

    def told(self, what: str, seconds: float) -> None:
        """Print the waits so far, and forget them."""
        waits, self.waits = sorted(self.waits), []
        places = {f"{share:g}%": int(len(waits) * share / 100) for share in (50, 99, 99.9)} | {"longest": -1}
        shown = "  ".join(f"{name} {waits[place] * 1e3:.1f}" for name, place in places.items())
        print(f"  {what}: {len(waits) / seconds:,.0f} requests/s, waits in ms: {shown}")


def cpu(server: redis.Redis) -> float:
    """Seconds of CPU that a server has used."""
    used = server.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


async def measure(reactor: Any, args: argparse.Namespace) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("here", "there")]
        for place in places:
            place.mkdir()
        servers = [start_server("valkey", place) for place in places]
        try:
            catalog = SQLCatalog(reactor, sqlite_url(Path(folder, "catalog.sqlite")))
            await catalog.start(upgrade=True)
            await catalog.create_pool(Pool("there", servers[1][2], 1))
            stores = {
                "default": RedisStore(reactor, servers[0][2], 60),
                "there": RedisStore(reactor, servers[1][2], 60),
            }
            for store in stores.values():
                await store.start(10)
            queue, _ = await catalog.create_queue("bench", "jobs", {})
            await stores["default"].create(queue)
            await post(stores["default"], queue, args.messages)
            clients = Clients(reactor, stores, queue, args.pause)
            running = [Deferred.fromCoroutine(clients.run(number)) for number in range(args.clients)]
            await deferLater(reactor, WARM_UP, lambda: None)
            print(f"{args.messages:,} messages of 100 bytes, {args.clients} clients")
            clients.told("before", WARM_UP)
            used = [cpu(server[1]) for server in servers]
            began = reactor.seconds()
            options = ["--redis-url", servers[0][2], "--data-dir", folder]
            out, err, code = await getProcessOutputAndValue(
                sys.executable,
                ["-m", "gateway", "queue", "move", "jobs", "--to", "there", *options],
                os.environ,
            )
            seconds = reactor.seconds() - began
            clients.told("during", seconds)
            print(f"  exit code {code}: {(out + err).decode().splitlines()}")
            mover = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = [cpu(server[1]) - before for server, before in zip(servers, used, strict=True)]
            used_by_mover = mover.ru_utime + mover.ru_stime
            print(f"  {seconds:.1f} s, the start of the program included")
            print(f"  CPU: mover {used_by_mover:.1f} s, source {spent[0]:.1f} s, target {spent[1]:.1f} s")
            await deferLater(reactor, WARM_UP, lambda: None)
            clients.told("after", WARM_UP)
            clients.running = False
            await gatherResults(running)
            await catalog.stop()
            for store in stores.values():
                await store.stop()
        finally:
            for process, _, _ in servers:
                process.terminate()
                process.wait()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0, help="seconds between a client's requests")
    args = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, args)))


if __name__ == "__main__":
    main()

"""Two nodes whose consumers are tried, and a queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.records import NewMessage, Queue
from tests.support.consumers import Node, Socket, sequence_of
from tests.support.reactor import reactor, run
from tests.support.store import ALICE, text


class Nodes:
    """Two nodes and a queue."""

    def __init__(self, url: str, folder: Path) -> None:
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        self.one, self.other = [Node(url, self.catalog) for _ in range(2)]
        self.queue: Queue

    async def start(self) -> None:
        await self.catalog.start(upgrade=True)
        for node in (self.one, self.other):
            await node.start()
        self.queue, _ = await self.one.router.ensure("project", "jobs")

    async def stop(self) -> None:
        for node in (self.one, self.other):
            await node.stop()
        await self.catalog.stop()

    async def post(self, *values: Any, delay: int = 0) -> list[int]:
        messages = [NewMessage(text(value), 3600, delay) for value in values]
        return await self.one.store.post(self.queue, messages, ALICE)

    async def delete(self, socket: Socket, *bodies: Any) -> None:
        """Acknowledge messages that the socket has got."""
        numbers = [sequence_of(message) for message in socket.messages() if message["body"] in bodies]
        await self.other.store.delete_messages(self.queue, numbers, None)

    async def counts(self) -> tuple[int, int]:
        """How many messages are free, and how many are claimed."""
        stats = await self.one.store.stats(self.queue)
        return stats.free, stats.claimed


def on(nodes: Nodes, scenario: Callable[[Nodes], Awaitable[None]]) -> None:
    run(scenario, nodes)

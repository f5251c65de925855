"""A hub on a real store, and sockets that note what they are pushed."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.push.hub import Hub
from gateway.websocket.outlet import Outlet
from protocol.body import Form
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.events import Event
from storage.records import NewMessage, Queue, Start, Subscribed
from storage.redis.events import RedisEvents
from storage.redis.store import RedisStore
from tests.support.reactor import reactor
from tests.support.routing import new_router, only
from tests.support.servers import Server
from tests.support.store import ALICE, PATIENCE, text


@dataclass(eq=False)
class Socket:
    """Takes notifications, as long as it is willing."""

    closed: bool = False
    extended: bool = False
    compressed: bool = False
    streamed: bool = False
    willing: bool = True
    permitted: bool = True
    """Whether who speaks on it is permitted everything, or nothing."""
    numbers: list[int] = field(default_factory=list)
    """The numbers that were posted as bodies."""
    markers: list[int] = field(default_factory=list)
    """The positions that came with them, if it is extended."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """What it was told beside."""
    came: list[str] = field(default_factory=list)
    """The names of the events, and `message`, in the order in which they came."""
    outlet: Outlet = field(default_factory=lambda: Outlet(None))
    """Never free, so all comes by `push`."""
    subscriber: str = field(default_factory=lambda: f"http://here/{uuid.uuid4()}")
    """How its subscriptions show."""

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        if self.willing:
            found = list(map(int, re.findall(rb'"body":([0-9]+),', frames)))
            self.numbers += found
            self.markers += map(int, re.findall(rb'"marker":"([0-9]+)"', frames))
            self.came += ["message"] * len(found)
        return self.willing

    def may(self, action: str, queue: Queue) -> bool:
        return self.permitted

    def tell(self, frame: bytes) -> None:
        assert self.extended
        event = json.loads(frame[2:] if frame[1] < 126 else frame[4:])
        self.events.append(event)
        self.came.append(event["event"])


class Node:
    """A hub on a real store, and one queue."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.store = RedisStore(reactor, server.url, PATIENCE)
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        self.pushed = 0
        self.deaf = False
        self.events = RedisEvents(reactor, server.url, PATIENCE, self._told, self._listening)
        self.stores = stores = only(self.store, self.catalog, self.events)
        self.router = new_router(self.catalog, stores)
        self.hub = Hub(reactor, self.router, stores, self._count)

    def _told(self, incarnation: int, event: Event) -> None:
        if not self.deaf:
            self.hub.told(incarnation, event)

    def _listening(self, incarnation: int) -> None:
        self.hub.listening(incarnation)

    def _count(self, pushed: int) -> None:
        self.pushed += pushed

    async def start(self) -> None:
        await self.catalog.start(upgrade=True)
        await self.store.start(PATIENCE)
        self.queue = await self.new_queue("jobs")
        self.events.start()

    async def stop(self) -> None:
        await self.hub.stop()
        await self.events.stop()
        await self.store.stop()
        await self.catalog.stop()

    async def new_queue(self, name: str) -> Queue:
        return (await self.router.ensure("project", name))[0]

    async def subscribe(self, socket: Socket, queue: Queue | None = None, ttl: int = 3600) -> int | None:
        made = await self.resume(socket, None, queue, ttl)
        return None if made is None else made.sequence

    async def resume(
        self, socket: Socket, start: Start | None, queue: Queue | None = None, ttl: int = 3600
    ) -> Subscribed | None:
        name = socket.subscriber
        return await self.hub.subscribe(socket, queue or self.queue, name, ttl, {}, Form.JSON, start)

    async def post(self, *numbers: int, delay: int = 0, size: int = 1) -> None:
        messages = [NewMessage(text(number), 3600, delay) for number in numbers]
        for i in range(0, len(messages), size):
            await self.store.post(self.queue, messages[i : i + size], ALICE)

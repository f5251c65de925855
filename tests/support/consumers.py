"""Nodes that lease to consumers, in this process, on one real store and one catalog."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import msgpack

from gateway.push.consumers import Consumers
from gateway.push.hub import Hub
from gateway.push.subscriber import Sink
from gateway.websocket.outlet import Outlet
from protocol.body import Form
from protocol.identifiers import parse_id, parse_uuid
from storage.catalog.sql import SQLCatalog
from storage.errors import OutcomeUnknown
from storage.events import Announced, Event
from storage.records import Consumer, Leased, Queue, Start, Subscribed
from storage.redis.events import RedisEvents
from storage.redis.store import RedisStore
from storage.stores import OpenStore, Stores
from tests.support.reactor import reactor
from tests.support.routing import new_router, nothing
from tests.support.store import PATIENCE, new_claim

GRACE = 5.0
"""Seconds that the leases of a closed socket wait."""


@dataclass(eq=False)
class Socket:
    """Takes events, as long as it is willing. It asks for MessagePack."""

    closed: bool = False
    extended: bool = True
    compressed: bool = False
    streamed: bool = False
    subscriber: str = "http://here/consumer"
    willing: bool = True
    permitted: bool = True
    events: list[dict[str, Any]] = field(default_factory=list)
    outlet: Outlet = field(default_factory=lambda: Outlet(None))

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        if self.willing and not self.closed:
            size = frames[1]
            start = {126: 4, 127: 10}.get(size, 2)
            self.events.append(msgpack.unpackb(frames[start:]))
        return self.willing and not self.closed

    def may(self, action: str, queue: Queue) -> bool:
        return self.permitted

    def tell(self, frame: bytes) -> None:
        raise AssertionError("consumers are told by events that are pushed")

    def messages(self, claim: bytes | None = None) -> list[dict[str, Any]]:
        """The messages that were pushed, for this claim alone if it is given."""
        return [
            message
            for event in self.events
            if event["event"] == "claim" and claim in (None, parse_uuid(event["claim_id"]))
            for message in event["messages"]
        ]

    @property
    def bodies(self) -> list[Any]:
        """What the pushed messages say."""
        return [message["body"] for message in self.messages()]

    @property
    def endings(self) -> list[str]:
        """Why consumers ended."""
        return [event["reason"] for event in self.events if event["event"] == "claim_ended"]


def sequence_of(message: dict[str, Any]) -> int:
    """The sequence of a message that was pushed."""
    parsed = parse_id(message["id"])
    assert parsed is not None
    return parsed[0]


class LosingStore(RedisStore):
    """A store that may lose the answer to a lease after it was done."""

    losing = 0

    async def lease(self, *arguments: Any, **options: Any) -> Leased | None:
        leased = await super().lease(*arguments, **options)
        if self.losing:
            self.losing -= 1
            raise OutcomeUnknown("The connection broke.")
        return leased


class Node:
    """One node's consumers, and its subscribers."""

    def __init__(self, url: str, catalog: SQLCatalog) -> None:
        self.store = LosingStore(reactor, url, 5)
        self.events = RedisEvents(reactor, url, PATIENCE, self._told, self._listening)
        self.stores = Stores(OpenStore(self.store, self.events, nothing), catalog, self._open)
        self.router = new_router(catalog, self.stores)
        self.pushed = 0
        self.losing = 0
        """How many of the next announcements of messages its subscribers are not told."""
        self.consumers = Consumers(reactor, self.router, self.stores, GRACE, self._count)
        self.hub = Hub(reactor, self.router, self.stores, lambda pushed: None)

    def _told(self, incarnation: int, event: Event) -> None:
        self.consumers.told(incarnation, event)
        if self.losing and isinstance(event, Announced):
            self.losing -= 1
        else:
            self.hub.told(incarnation, event)

    def _listening(self, incarnation: int) -> None:
        self.consumers.listening(incarnation)
        self.hub.listening(incarnation)

    def _count(self, pushed: int) -> None:
        self.pushed += pushed

    async def _open(self, pool: str, uri: str) -> OpenStore:
        """The store of another pool."""
        store = RedisStore(reactor, uri, PATIENCE)
        await store.start(PATIENCE)
        events = RedisEvents(reactor, uri, PATIENCE, self._told, self._listening)
        events.start()

        async def close() -> None:
            await events.stop()
            await store.stop()

        return OpenStore(store, events, close, uri)

    async def start(self) -> None:
        await self.store.start(PATIENCE)
        self.events.start()

    async def stop(self) -> None:
        await self.consumers.stop()
        await self.hub.stop()
        await self.stores.stop()
        await self.events.stop()
        await self.store.stop()

    async def subscribe(
        self, socket: Socket, queue: Queue, credit: int, claim: bytes | None = None, ttl: int = 60
    ) -> bytes:
        """A consumer of the socket; returns its claim, which goes on if it is given."""
        terms = Consumer(claim or new_claim(), os.urandom(8), ttl, 60, credit)
        await self.consumers.subscribe(socket, queue, terms, Form.MSGPACK, resume=claim is not None)
        return terms.claim

    async def resume(self, socket: Sink, start: Start | None, queue: Queue) -> Subscribed | None:
        """Subscribe a socket, from `start` or from now on."""
        return await self.hub.subscribe(socket, queue, socket.subscriber, 3600, {}, Form.JSON, start)

    async def unsubscribe(self, socket: Socket, queue: Queue, claim: bytes) -> None:
        token = self.consumers.leave(socket, queue, claim)
        assert token is not None
        await self.store.release_claim(queue, claim, token)

    def close(self, socket: Socket) -> None:
        socket.closed = True
        self.consumers.closed(socket)

"""The primary of a service that Redis Sentinel watches over: asked for, and left when it is another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hiredis
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import LoopingCall

from protocol.errors import Unavailable
from storage.errors import StoreReadOnly, StoreUnavailable
from storage.redis.address import Address, Node
from storage.redis.client import ServerClient
from storage.redis.link import AnyConnection, Target, endpoint

ASK_TIMEOUT = 0.5
"""Seconds that each sentinel has for an answer."""

WATCH_INTERVAL = 1.0
"""Seconds between two looks at whether the primary is still the primary."""


class Sentinel(Target):
    """How to reach one sentinel. It is given the store's login only if it wants one."""

    async def greet(self, connection: AnyConnection) -> None:
        reply = await connection.send("PING")
        if isinstance(reply, hiredis.ReplyError):
            for command in self._address.login:
                await self._ask(connection, *command)


class SentinelPrimary(Target):
    """The primary of a service, whichever server that is.

    All sentinels are asked, before each connection and once a second: of their answers the one with the
    newest configuration counts. A connection to another server than that is dropped: one that only hangs, or
    is cut off from the sentinels, would else be written to until its commands time out.
    """

    longest_pause = 0.5

    def __init__(self, reactor: Any, address: Address) -> None:
        super().__init__(reactor, address)
        self._sentinels = [
            ServerClient(reactor, Sentinel(reactor, address, node), ASK_TIMEOUT) for node in address.nodes
        ]
        self._watch = LoopingCall(self._look)
        self._watch.clock = reactor
        self._primary: Node | None = None
        self._on_moved: Callable[[], None] | None = None

    def start(self, on_moved: Callable[[], None]) -> None:
        self._on_moved = on_moved
        for sentinel in self._sentinels:
            sentinel.start()
        self._watch.start(WATCH_INTERVAL, now=False)

    async def stop(self) -> None:
        self._on_moved = None
        if self._watch.running:
            self._watch.stop()
        for sentinel in self._sentinels:
            await sentinel.stop()

    def demoted(self) -> None:
        if self._on_moved is not None:
            self._on_moved()

    async def connect(self, factory: IProtocolFactory) -> Any:
        self._primary = await self._find()
        return await endpoint(self._reactor, self._address, self._primary).connect(factory)

    async def greet(self, connection: AnyConnection) -> None:
        await super().greet(connection)
        role = await self._ask(connection, "ROLE")
        if role[0] != b"master":
            raise StoreReadOnly("The sentinels still name a server that is not the primary any more.")

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._compare())

    async def _compare(self) -> None:
        try:
            primary = await self._find()
        except Unavailable:
            return  # who cannot be asked says nothing against the connection
        if primary != self._primary and self._primary is not None:
            self.demoted()

    async def _find(self) -> Node:
        """The primary. Raises StoreUnavailable."""
        asked = [Deferred.fromCoroutine(self._ask_one(sentinel)) for sentinel in self._sentinels]
        answers: list[tuple[int, Node] | Unavailable] = [
            answer for _, answer in await DeferredList(asked, consumeErrors=True)
        ]
        found = [answer for answer in answers if isinstance(answer, tuple)]
        if not found:
            raise StoreUnavailable(f"No sentinel names the primary: {answers[0]}")
        return max(found)[1]

    async def _ask_one(self, sentinel: ServerClient) -> tuple[int, Node] | Unavailable:
        """The epoch of a sentinel's configuration, and the primary in it."""
        try:
            await sentinel.link.attempted(ASK_TIMEOUT)
            await sentinel.connected(0)
            reply = await sentinel.execute("SENTINEL", "MASTER", self._address.service)
        except Unavailable as error:
            return error
        told = dict(zip(reply[::2], reply[1::2], strict=True))
        return int(told[b"config-epoch"]), Node(told[b"ip"].decode(), int(told[b"port"]))

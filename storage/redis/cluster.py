"""Commands to a Redis Cluster: each goes to the primary that serves its key's slot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from storage.errors import StoreUnavailable
from storage.redis.address import Address, Node
from storage.redis.client import Argument, ServerClient, StoreClient
from storage.redis.connection import Reply, StoreConnection
from storage.redis.link import Signal, Target
from storage.redis.refusals import Asked, Moved, SlotDown, SlotMoving
from storage.redis.slot_map import SlotMap
from storage.redis.slots import key_slot

FIRST_CONNECT = 2.0
"""Seconds that a command waits for the first connection to a node."""

MAX_REDIRECTS = 5
"""How often a command follows MOVED and ASK in a row before it pauses: nodes may disagree for a moment."""

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2
"""Seconds until a command is sent again to a slot that is on its way; doubled each time."""


class ClusterClient(StoreClient):
    """One connection to each primary.

    What a node refuses because the slot is elsewhere (MOVED, ASK) or on its way (TRYAGAIN) was not done, and
    is sent again, until `timeout` is over. A connection that breaks is not such an answer.
    """

    def __init__(self, reactor: Any, address: Address, timeout: float) -> None:
        self._reactor = reactor
        self._address = address
        self._timeout = timeout
        self._servers: dict[Node, ServerClient] = {}
        self._changed = Signal(reactor)
        self._map = SlotMap(reactor, address, self._is_healthy, self._map_read)
        self._stopped = False

    def start(self) -> None:
        self._stopped = False
        self._map.start()

    async def stop(self) -> None:
        self._stopped = True
        self._map.stop()
        self._changed.fire()
        while self._servers:
            await self._servers.popitem()[1].stop()

    async def connected(self, timeout: float, key: bytes | None = None) -> None:
        def is_connected() -> bool:
            if key is None:
                return any(server.link.connection is not None for server in self._servers.values())
            owner = self._map.owner(key_slot(key))
            server = None if owner is None else self._servers.get(owner)
            return server is not None and server.link.connection is not None

        await self._changed.until(lambda: self._stopped or is_connected(), timeout)
        if not is_connected():
            raise StoreUnavailable(f"There is no connection to the message store's cluster.{self._map.why}")

    def primaries(self) -> Sequence[ServerClient]:
        return [self._servers[node] for node in self._map.primaries if node in self._servers]

    async def send(
        self, key: bytes, *command: Argument, with_timeline: bool = False
    ) -> tuple[Reply, StoreConnection]:
        slot = key_slot(key)
        deadline = self._reactor.seconds() + self._timeout
        node, asking = self._map.owner(slot), False
        redirects, pause = 0, FIRST_PAUSE
        refused: Moved | Asked | SlotMoving
        while True:
            try:
                server = await self._server(node)
                return await server.send(key, *command, with_timeline=with_timeline, asking=asking)
            except Moved as error:
                node, asking, refused = self._full(error.node, node), False, error
                self._map.moved(slot, node)
            except Asked as error:
                node, asking, refused = self._full(error.node, node), True, error
            except SlotMoving as error:
                redirects, refused = MAX_REDIRECTS, error
            except StoreUnavailable:
                self._map.refresh()
                raise
            redirects += 1
            if redirects > MAX_REDIRECTS:
                if self._reactor.seconds() + pause > deadline:
                    raise refused
                await deferLater(self._reactor, pause * random.uniform(0.5, 1), lambda: None)
                node, asking, redirects = self._map.owner(slot), False, 0
                pause = min(2 * pause, LONGEST_PAUSE)

    @staticmethod
    def _full(told: Node, by: Node | None) -> Node:
        """The node of a redirect. A cluster that does not tell hosts means: the one that you have asked."""
        return told if told.host or by is None else Node(by.host, told.port)

    async def _server(self, node: Node | None) -> ServerClient:
        if node is None:
            raise SlotDown("No node of the message store's cluster serves the queue.")
        server = self._servers.get(node) or self._add(node)
        if server.link.connection is None:
            await server.link.attempted(FIRST_CONNECT)
        return server

    def _add(self, node: Node) -> ServerClient:
        if self._stopped:
            raise StoreUnavailable("There is no connection to the message store.")
        target = Target(self._reactor, self._address, node)
        server = self._servers[node] = ServerClient(
            self._reactor, target, self._timeout, self._connection_changed
        )
        server.start()
        return server

    def _is_healthy(self) -> bool:
        return self._map.is_complete() and not any(server.link.is_down for server in self._servers.values())

    def _connection_changed(self) -> None:
        if not self._is_healthy():
            self._map.refresh()
        self._changed.fire()

    def _map_read(self) -> None:
        for node in self._map.primaries - self._servers.keys():
            self._add(node)
        for node in self._servers.keys() - self._map.primaries:
            if self._servers[node].link.is_idle:  # else its commands end first
                Deferred.fromCoroutine(self._servers.pop(node).stop())
        self._changed.fire()

"""Announcements of a Redis Cluster: each channel is listened to on the primary that serves its slot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from storage.redis.address import Address, Node
from storage.redis.client import EventClient, ServerEvents
from storage.redis.link import Target
from storage.redis.slot_map import SlotMap
from storage.redis.slots import key_slot


class ClusterEvents(EventClient):
    """One connection to each node that has channels.

    A channel follows its slot: the old node ends it (`sunsubscribe`) or refuses it (MOVED), or the map says
    so. `on_listening` tells of each new place: what was announced in between may have been missed.
    """

    def __init__(
        self,
        reactor: Any,
        address: Address,
        timeout: float,
        on_event: Callable[[bytes, bytes], None],
        on_listening: Callable[[bytes], None],
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._timeout = timeout
        self._on_event = on_event
        self._on_listening = on_listening
        self._places: dict[bytes, Node | None] = {}
        """The node on which each channel is listened to; None while there is none."""
        self._servers: dict[Node, ServerEvents] = {}
        self._map = SlotMap(reactor, address, self._is_healthy, self._map_read)

    def start(self) -> None:
        self._map.start()

    async def stop(self) -> None:
        self._map.stop()
        self._places = dict.fromkeys(self._places)
        while self._servers:
            await self._servers.popitem()[1].stop()

    def listen(self, channel: bytes) -> None:
        node = self._places.setdefault(channel, None)
        if node is None:
            self._place(channel)
        else:  # once more, for one more who is to be told that it is listened to
            self._servers[node].listen(channel)

    def leave(self, channel: bytes) -> None:
        node = self._places.pop(channel, None)
        if node is not None:
            self._servers[node].leave(channel)

    def _place(self, channel: bytes) -> None:
        """Listen to a channel where its slot is now."""
        was, node = self._places[channel], self._map.owner(key_slot(channel))
        if node is None or node == was:
            return
        if was is not None:
            self._servers[was].leave(channel)
        self._places[channel] = node
        (self._servers.get(node) or self._add(node)).listen(channel)

    def _add(self, node: Node) -> ServerEvents:
        def moved(slot: int) -> None:
            for channel, place in self._places.items():
                if place == node and key_slot(channel) == slot:
                    self._places[channel] = None
            self._map.refresh()

        server = self._servers[node] = ServerEvents(
            self._reactor,
            Target(self._reactor, self._address, node),
            self._timeout,
            self._on_event,
            self._on_listening,
            on_moved=moved,
            on_change=self._connection_changed,
        )
        server.start()
        return server

    def _is_healthy(self) -> bool:
        return None not in self._places.values() and not any(
            server.link.is_down for server in self._servers.values()
        )

    def _connection_changed(self) -> None:
        if not self._is_healthy():
            self._map.refresh()

    def _map_read(self) -> None:
        for channel in self._places:
            self._place(channel)
        for node, server in list(self._servers.items()):
            if not server.channels:
                del self._servers[node]
                Deferred.fromCoroutine(server.stop())

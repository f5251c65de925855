"""The work that is done over REST, and what follows from it: posts, and deliveries to webhooks."""

from __future__ import annotations

import time
import uuid

from bench.load import Load
from bench.peers import zaqar_rest
from bench.peers.peer import Peer
from bench.receiver import Receiver
from bench.server import Server
from bench.work import RATES, Column, Scale, Work, rates

AHEAD = 2
"""Posts whose messages are on their way at a time."""


class RestWork(Work):
    """What servers of Zaqar's REST API are asked to do."""

    def suits(self, peer: Peer) -> bool:
        return super().suits(peer) and peer.over_rest() is not None


class RestPost(RestWork):
    """Requests that store one message each, on connections that stay open."""

    columns = RATES

    def __init__(self, key: str, connections: int, aim: str = "") -> None:
        self.key, self.aim, self._connections = key, aim, connections
        many = "1 connection" if connections == 1 else f"{connections} connections"
        self.title = f"REST: POST of 1 x 100 B, {many}, 1 outstanding on each"

    def peer(self, peer: Peer) -> Peer:
        return peer.over_rest() or peer

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        with Load(server.port, self._connections, zaqar_rest.post()) as load:
            return rates(load, server, scale)


class Webhooks(RestWork):
    """Messages that are posted over REST and delivered to webhooks; what the posts cost counts, too."""

    columns = (
        Column("cpu_us", "CPU us"),
        Column("store_us", "store us"),
        Column("per_second", "per second", 0),
    )

    def __init__(self, key: str, subscribers: int, messages: int) -> None:
        self.key, self._subscribers, self._messages = key, subscribers, messages
        many = "1 subscriber" if subscribers == 1 else f"{subscribers} subscribers"
        self.title = f"webhooks: {many}, posts of {messages} x 100 B; per delivery"

    def peer(self, peer: Peer) -> Peer:
        return peer.with_webhooks() or peer

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        queue = f"hooks-{uuid.uuid4().hex}"
        with Receiver(self._subscribers) as receiver, zaqar_rest.Rest(server.port) as rest:
            rest.create_queue(queue)
            for url in receiver.urls:
                rest.subscribe(queue, url)
            warm = self._deliver(rest, receiver, queue, 0, scale.warm_up)
            before, began = server.usage(), time.monotonic()
            done = self._deliver(rest, receiver, queue, warm, scale.seconds) - warm
            seconds = time.monotonic() - began
            after = server.usage()
            rest.delete_queue(queue)
        return {
            "cpu_us": (after.server - before.server) / done * 1e6,
            "store_us": (after.store - before.store) / done * 1e6,
            "per_second": done / seconds,
            "server_busy": (after.server - before.server) / seconds,
        }

    def _deliver(
        self, rest: zaqar_rest.Rest, receiver: Receiver, queue: str, delivered: int, seconds: float
    ) -> int:
        """Post for so long, then wait for what is on its way; returns how many were delivered in all."""
        each = self._messages * self._subscribers
        deadline = time.monotonic() + seconds
        expected = delivered
        while time.monotonic() < deadline or expected == delivered:
            rest.post(queue, self._messages)
            expected += each
            if expected - delivered >= AHEAD * each:
                receiver.wait(expected - (AHEAD - 1) * each)
        receiver.wait(expected)
        return expected

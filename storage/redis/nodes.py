"""Which processes use a store, and what each would leave behind there: one sign of life for all of it.

Keys (plain commands; each process's own two are in one slot)::

    zg:nodes                        sorted set: process by its last sign of life, on the store's clock
    zg:node:<id>                    there as long as the process shows signs of life
    zg:{node:<id>}:subscriptions    hash: the subscriptions of its sockets, to be ended when it cannot
    zg:{node:<id>}:swept            hash, for a day: those that others ended, taking it for dead, as they were

So a process that was only stalled can tell what was ended by mistake from what its owner has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgpack
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from protocol.errors import RequestError
from storage.records import Queue
from storage.redis.client import StoreClient

AT_ONCE = 1000
"""Entries that one command writes."""

SWEPT_FOR = 86_400
"""Seconds that a process may stall and learn what was swept meanwhile."""

_NODES = b"zg:nodes"

log = logging.getLogger(__name__)


class SocketSubscription(NamedTuple):
    """A subscription that ends with a socket, and so with the process that has the socket."""

    incarnation: int
    sequence: int
    project: str
    name: str

    @classmethod
    def of(cls, queue: Queue, sequence: int) -> SocketSubscription:
        """The subscription of this sequence to a queue."""
        return cls(queue.incarnation, sequence, queue.project, queue.name)

    @property
    def field(self) -> bytes:
        """What names it in the hash."""
        return b"%016x:%d" % (self.incarnation, self.sequence)


class SubscriptionTerms(NamedTuple):
    """What it takes to make a subscription anew."""

    subscriber: str
    ttl: int
    """Seconds."""
    options: Mapping[str, Any]


class NodeRegistry:
    """This process, `node`, among those that use a store. It counts as dead after `lifetime` seconds."""

    def __init__(self, reactor: Any, client: StoreClient, node: str, lifetime: float) -> None:
        self.node = node
        self._reactor = reactor
        self._client = client
        self._lifetime = lifetime
        self._changes: dict[SocketSubscription, bool] = {}
        self._waiting: dict[SocketSubscription, Deferred[None]] = {}
        self._writing = False

    # This process

    async def beat(self) -> bool:
        """Show a sign of life. False: others could have taken this process for dead, or it is the first."""
        key = _alive_key(self.node)
        before = await self._client.execute("SET", key, "1", "PX", int(self._lifetime * 1000), "GET", key=key)
        await self._client.execute("ZADD", _NODES, await self._now(), self.node, key=_NODES)
        return before is not None

    def remember(self, subscription: SocketSubscription) -> Deferred[None]:
        """A socket of this process has a subscription.

        It is written together with others. Fires when that is done, or could not be: then it is tried again.
        """
        self._change(subscription, True)
        return self._waiting.setdefault(subscription, Deferred())

    def forget(self, subscription: SocketSubscription) -> None:
        """It has ended."""
        self._change(subscription, False)

    async def was_swept(self, subscription: SocketSubscription) -> SubscriptionTerms | None:
        """What it was like when another process ended it, or was about to; None: none did."""
        key = _swept_key(self.node)
        found = await self._client.execute("HGET", key, subscription.field, key=key)
        return None if found is None else SubscriptionTerms(*msgpack.unpackb(found, strict_map_key=False))

    async def write(self) -> None:
        """Write what is to be remembered or forgotten, as far as it is not. Raises what the store raises."""
        key = _held_key(self.node)
        while self._changes:
            changes = dict(list(self._changes.items())[:AT_ONCE])
            held: list[bytes] = []
            for subscription, is_held in changes.items():
                if is_held:
                    held += (subscription.field, msgpack.packb([subscription.project, subscription.name]))
            ended = [subscription.field for subscription, is_held in changes.items() if not is_held]
            for each in changes:
                del self._changes[each]
            try:
                if held:
                    await self._client.execute("HSET", key, *held, key=key)
                if ended:
                    await self._client.execute("HDEL", key, *ended, key=key)
            except RequestError:
                self._changes = {**changes, **self._changes}  # what is newer holds
                raise
            finally:
                for each in changes:
                    waiting = self._waiting.pop(each, None)
                    if waiting is not None:
                        waiting.callback(None)

    async def leave(self) -> None:
        """This process ends. If subscriptions could not be ended, others are left to do it."""
        await self.write()
        key = _held_key(self.node)
        if not await self._client.execute("EXISTS", key, key=key):
            await self.remove(self.node)

    def _change(self, subscription: SocketSubscription, is_held: bool) -> None:
        self._changes[subscription] = is_held
        if not self._writing:
            self._writing = True
            self._reactor.callLater(0, self._write_soon)

    def _write_soon(self) -> None:
        Deferred.fromCoroutine(self.write()).addBoth(self._written)

    def _written(self, outcome: object) -> None:
        self._writing = False
        if isinstance(outcome, Failure):  # it is tried again with the next change or sign of life
            log.warning("subscriptions_not_remembered: %s", outcome.getErrorMessage())

    # The others

    async def missing(self, limit: int) -> list[str]:
        """Processes that have shown no sign of life for their time."""
        before = await self._now() - int(self._lifetime * 1_000_000)
        found = await self._client.execute(
            "ZRANGEBYSCORE", _NODES, "-inf", before, "LIMIT", 0, limit, key=_NODES
        )
        return [node for node in (each.decode() for each in found) if not await self.is_alive(node)]

    async def is_alive(self, node: str) -> bool:
        """Whether a process shows signs of life."""
        key = _alive_key(node)
        return bool(await self._client.execute("EXISTS", key, key=key))

    async def held_by(self, node: str, count: int) -> list[SocketSubscription]:
        """Some of the subscriptions of a process, about `count`; none only if there are none."""
        key, cursor = _held_key(node), b"0"
        while True:
            cursor, found = await self._client.execute("HSCAN", key, cursor, "COUNT", count, key=key)
            if found or cursor == b"0":
                return list(_read(found))

    async def sweeps(self, node: str, subscription: SocketSubscription, terms: SubscriptionTerms) -> None:
        """A subscription of a process is about to be ended: it may want it back, should it be alive."""
        key = _swept_key(node)
        await self._client.execute("HSET", key, subscription.field, msgpack.packb(terms), key=key)
        await self._client.execute("EXPIRE", key, SWEPT_FOR, key=key)

    async def swept(self, node: str, subscription: SocketSubscription) -> None:
        """It has ended."""
        key = _held_key(node)
        await self._client.execute("HDEL", key, subscription.field, key=key)

    async def remove(self, node: str) -> None:
        """Nothing is left of a process."""
        await self._client.execute("UNLINK", _alive_key(node), key=_alive_key(node))
        await self._client.execute("ZREM", _NODES, node, key=_NODES)

    async def _now(self) -> int:
        """Microseconds on the clock of the server that has the registry."""
        seconds, microseconds = await self._client.execute("TIME", key=_NODES)
        return int(seconds) * 1_000_000 + int(microseconds)


def _alive_key(node: str) -> bytes:
    return f"zg:node:{node}".encode()


def _held_key(node: str) -> bytes:
    return f"zg:{{node:{node}}}:subscriptions".encode()


def _swept_key(node: str) -> bytes:
    return f"zg:{{node:{node}}}:swept".encode()


def _read(found: list[bytes]) -> Iterable[SocketSubscription]:
    for field, value in zip(found[::2], found[1::2], strict=True):
        incarnation, _, sequence = field.partition(b":")
        project, name = msgpack.unpackb(value)
        yield SocketSubscription(int(incarnation, 16), int(sequence), project, name)

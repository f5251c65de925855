"""Opens the store of a pool: connects, looks at how it keeps what it is given, and listens to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from gateway import logs
from gateway.encryption_keys import UnreadableLog
from gateway.push.liveness import MISSED
from gateway.settings import Settings
from protocol.errors import Unavailable
from storage.encryption import Keyring
from storage.errors import StoreFailed, StoreUnavailable
from storage.events import Event
from storage.pools import DEFAULT_POOL
from storage.records import Room
from storage.redis.delivery_registry import DeliveryRegistry
from storage.redis.events import RedisEvents
from storage.redis.health import LayoutError
from storage.redis.nodes import NodeRegistry
from storage.redis.store import RedisStore
from storage.stores import OpenStore

PATIENCE = 2.0
"""Seconds to wait for the store of a pool while a request waits for it."""

log = logs.get_logger(__name__)


class UnfitStore(Exception):
    """A store that would lose messages. The message says why, and what to do."""


class StoreOpener:
    """Opens stores. `on_event` and `on_listening` are told what they announce (storage.redis.events).

    :param keyring: encrypts the messages of queues that demand it.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        on_event: Callable[[int, Event], None],
        on_listening: Callable[[int], None],
        keyring: Keyring,
    ) -> None:
        self._reactor = reactor
        self._keyring = keyring
        self._unreadable = UnreadableLog(reactor)
        self._settings = settings
        self._node = os.urandom(8).hex()
        self._on_event = on_event
        self._on_listening = on_listening

    async def open(self, pool: str, uri: str, patience: float) -> tuple[RedisStore, OpenStore]:
        """Open a store.

        Raises StoreUnavailable after `patience` seconds, LayoutError for data of another layout, UnfitStore,
        AddressError.
        """
        timeout = self._settings.request_timeout
        room = Room(self._settings.max_queue_messages, self._settings.max_queue_bytes)
        store = RedisStore(
            self._reactor,
            uri,
            timeout,
            self._settings.min_replicas,
            room,
            self._keyring,
            self._unreadable.told,
        )
        try:
            await store.start(patience)
            await look_at_store(pool, store)
        except BaseException:
            await store.stop()
            raise
        events = RedisEvents(self._reactor, uri, timeout, self._on_event, self._on_listening, self._keyring)
        events.start()

        async def close() -> None:
            await events.stop()
            await store.stop()

        lifetime = MISSED * self._settings.heartbeat_interval
        nodes = NodeRegistry(self._reactor, store.client, self._node, lifetime)
        deliveries = DeliveryRegistry(store.client)
        where = "" if pool == DEFAULT_POOL else uri
        return store, OpenStore(store, events, close, where, nodes, deliveries)

    async def open_for_request(self, pool: str, uri: str) -> OpenStore:
        """Open a pool's store because a request needs it. Raises what the client is told."""
        try:
            return (await self.open(pool, uri, PATIENCE))[1]
        except Unavailable as error:
            raise StoreUnavailable(f"The message store of pool {pool} does not answer: {error}") from error
        except (LayoutError, UnfitStore, ValueError) as error:
            raise StoreFailed(f"The message store of pool {pool} cannot be used: {error}") from error


async def look_at_store(pool: str, store: RedisStore) -> None:
    """Warn of a store that may lose messages in a crash. Raises UnfitStore if it throws them away."""
    seen = await store.durability()
    log.info(
        "store",
        pool=pool,
        server=seen.server,
        role=seen.role,
        persistence=seen.persistence,
        eviction=seen.eviction,
    )
    if seen.eviction not in ("noeviction", "unknown"):
        raise UnfitStore(
            f"the store's maxmemory-policy is {seen.eviction}: it would throw messages away when memory "
            "is full; set it to noeviction"
        )
    if seen.persistence != "always":
        log.warning(
            "store_may_lose_messages",
            pool=pool,
            persistence=seen.persistence,
            remedy="appendonly yes and appendfsync always, unless a crash may cost the last seconds",
        )

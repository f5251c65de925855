"""The running gateway: puts the parts together, starts and stops them in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort

from gateway import __version__, logs
from gateway.actions.call import Node
from gateway.catalog_watch import CatalogWatch
from gateway.embedded.lock import DataFolderError, DataFolderLock
from gateway.embedded.valkey import STOP_DEADLINE, EmbeddedValkey, EmbeddedValkeyError
from gateway.http.hosts import ANY, LOOPBACK
from gateway.http.site import make_site
from gateway.http.switch import SwitchFactory
from gateway.metrics import Metrics
from gateway.push.consumers import Consumers
from gateway.push.hub import Hub
from gateway.settings import Settings, mask_url
from gateway.store_opening import StoreOpener, UnfitStore
from gateway.sweeper import Sweeper
from gateway.websocket.protocol import SocketFactory
from protocol.errors import RequestError
from storage.base import Event
from storage.catalog.engine import sqlite_url
from storage.catalog.schema import SchemaError
from storage.catalog.sql import SQLCatalog
from storage.pools import DEFAULT_POOL
from storage.redis.changes import CatalogChanges, QueueChanged
from storage.redis.health import LayoutError
from storage.redis.store import RedisStore
from storage.router import Router
from storage.stores import Stores

STORE_PATIENCE = 10.0
"""Seconds to wait for the store at the start."""

COMPARE_INTERVAL = 10.0
"""Seconds until what the node knows of the catalog is compared with it: what was not announced is seen."""

CACHED_ROUTES = 100_000
"""Queues whose route and metadata a node keeps in memory."""

CACHED_BYTES = 16_777_216
"""Bytes of their encoded metadata; in memory they take several times as much."""

STOP_REST = 0.5
"""Seconds that stopping may take beyond `shutdown_timeout`. With its default a supervisor can count on 5."""

STOP_PART = 0.15
"""Seconds of them for each part that waits for others."""

log = logs.get_logger(__name__)


class StartError(Exception):
    """The gateway cannot start. The message says why, and what to do."""


class Gateway:
    """One node. `start` and `stop` are called once each, in the reactor."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._stops: list[tuple[Callable[[], Any], float]] = []
        self._stopping: Deferred[None] | None = None
        self.node: Node | None = None
        self.url = ""

    async def start(self) -> None:
        """Start everything and listen. Raises StartError; what was started must be stopped all the same."""
        try:
            await self._start()
        except (
            *(
                DataFolderError,
                EmbeddedValkeyError,
                LayoutError,
                UnfitStore,
                SchemaError,
                RequestError,
                OSError,
            ),
            *(CannotListenError, ValueError),  # a port in use; a URL that only its library finds fault with
        ) as error:
            raise StartError(str(error)) from error

    async def _start(self) -> None:
        settings = self._settings
        if settings.redis_url is None or settings.catalog_url is None:
            os.umask(0o077)  # what is in the folder is for this user only
            lock = DataFolderLock(settings.data_dir)
            lock.acquire()
            self._at_stop(lock.release)
        store_url = settings.redis_url or await self._start_valkey()
        catalog = self._make_catalog()
        # A database of its own nobody else uses: it can be migrated at once.
        await catalog.start(upgrade=settings.catalog_url is None)
        self._at_stop(catalog.stop)

        metrics = Metrics()
        store, stores = await self._open_stores(catalog, store_url, lambda: (hub, consumers))
        changes = CatalogChanges(self._reactor, store.client, store_url, settings.request_timeout)
        router = Router(
            catalog,
            stores,
            max_entries=CACHED_ROUTES,
            max_bytes=CACHED_BYTES,
            announce=lambda project, name: changes.tell(QueueChanged(project, name)),
        )
        hub = Hub(self._reactor, router, stores, metrics.pushed)
        self._at_stop(hub.stop)
        consumers = Consumers(self._reactor, router, stores, settings.lease_grace, metrics.leases_pushed)
        self._at_stop(consumers.stop)
        watch = CatalogWatch(self._reactor, router, stores, COMPARE_INTERVAL)
        watch.start()
        self._at_stop(watch.stop)
        changes.start(watch.changed, watch.compare_soon)
        self._at_stop(changes.stop)
        sweeper = Sweeper(self._reactor, router, catalog, settings.sweep_interval)
        sweeper.start()
        self._at_stop(sweeper.stop)

        allowed = {ANY} if settings.allow_anonymous else LOOPBACK | {settings.host.lower()}
        self.node = Node(
            self._reactor, settings, router, catalog, stores, hub, consumers, changes, metrics, "", allowed
        )
        self._listen(self.node)
        self._log_start(store_url)

    async def _open_stores(
        self, catalog: SQLCatalog, url: str, listeners: Callable[[], tuple[Hub, Consumers]]
    ) -> tuple[RedisStore, Stores]:
        """Open the store that the gateway is started with, so that those of other pools can be opened too."""

        def told(incarnation: int, event: Event) -> None:
            for listener in listeners():
                listener.told(incarnation, event)

        def listening(incarnation: int) -> None:
            for listener in listeners():
                listener.listening(incarnation)

        opener = StoreOpener(self._reactor, self._settings, told, listening)
        store, opened = await opener.open(DEFAULT_POOL, url, STORE_PATIENCE)
        stores = Stores(opened, catalog, opener.open_for_request)
        self._at_stop(stores.stop)
        return store, stores

    async def _start_valkey(self) -> str:
        valkey = EmbeddedValkey(self._settings.data_dir, self._settings.fsync, self._reactor)
        self._at_stop(valkey.stop, STOP_DEADLINE)
        await valkey.start()
        return valkey.url

    def _make_catalog(self) -> SQLCatalog:
        settings = self._settings
        url = settings.catalog_url or sqlite_url(settings.data_dir / "catalog.sqlite")
        return SQLCatalog(self._reactor, url, timeout=settings.request_timeout)

    def _listen(self, node: Node) -> None:
        settings = self._settings
        sockets = SocketFactory(self._reactor, node)
        switch = SwitchFactory(
            self._reactor, sockets, make_site(node), node.allowed_hosts, settings.handshake_timeout
        )
        interface = _address(settings.host)
        port: IListeningPort = self._reactor.listenTCP(
            settings.port, switch, backlog=1024, interface=interface
        )
        number = cast(IPv4Address, port.getHost()).port
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"ws://{shown}:{number}/"
        node.notification_url = f"http://{settings.notification_host or shown}:{number}/"

        async def close() -> None:
            node.draining = True
            node.consumers.pause()
            await _within(self._reactor, settings.shutdown_timeout, sockets.drain)
            sockets.drop()

        self._at_stop(close, settings.shutdown_timeout + STOP_PART)
        self._at_stop(port.stopListening)

    def _log_start(self, store_url: str) -> None:
        settings = self._settings
        log.info(
            "listening",
            url=self.url,
            version=__version__,
            store=mask_url(store_url) if settings.redis_url else "embedded valkey",
            catalog=mask_url(settings.catalog_url) if settings.catalog_url else "embedded sqlite",
            data_dir=str(settings.data_dir),
        )

    def stop(self) -> Deferred[None]:
        """Stop accepting, finish the requests in flight, close the sockets with 1012, then stop the rest."""
        if self._stopping is None:
            self._stopping = Deferred.fromCoroutine(self._stop())
        return self._stopping

    def _at_stop(self, stop: Callable[[], Any], seconds: float = STOP_PART) -> None:
        """Have `stop` called at the end, the last first, and given up after so many seconds."""
        self._stops.append((stop, seconds))

    async def _stop(self) -> None:
        end = self._reactor.seconds() + self._settings.shutdown_timeout + STOP_REST
        while self._stops:
            stop, seconds = self._stops.pop()
            await _within(self._reactor, max(0.0, min(seconds, end - self._reactor.seconds())), stop)


async def _within(reactor: Any, seconds: float, stop: Callable[[], Any]) -> None:
    """Stop one part, but wait no longer than so many seconds. A part that fails keeps no other running."""
    try:
        await maybeDeferred(stop).addTimeout(seconds, reactor)
    except (TimeoutError, CancelledError):
        log.warning("stop_took_too_long", part=stop.__qualname__, seconds=round(seconds, 1))
    # Whatever it is, the other parts must be stopped too.
    except Exception:
        log.exception("stop_failed", part=stop.__qualname__)


def _address(host: str) -> str:
    """The address that a host name stands for; names are looked up once, at the start."""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])

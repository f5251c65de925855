"""The running gateway: puts the parts together, starts and stops them in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from gateway import __version__, logs
from gateway.actions.call import Node
from gateway.auth.authorisation import make_authorisation
from gateway.auth.chain import make_authenticator
from gateway.auth.signing_keys import SigningKeys
from gateway.catalog_watch import CatalogWatch
from gateway.delivery.confirmations import make_confirmations
from gateway.delivery.deliveries import Deliveries
from gateway.delivery.resources import means_to_deliver
from gateway.embedded.lock import DataFolderError
from gateway.embedded.storage import open_storage
from gateway.embedded.valkey import EmbeddedValkeyError
from gateway.encryption_keys import make_keyring
from gateway.http.access import Access
from gateway.limits.rates import Rates
from gateway.limits.sockets import OpenSockets
from gateway.limits.usage import Usage
from gateway.limits.waiting import WaitingRequests
from gateway.listening import listen, listening_url, load_certificate, notification_url
from gateway.metrics import Metrics
from gateway.operator_file import OperatorFile
from gateway.push.arrivals import Arrivals
from gateway.push.consumers import Consumers
from gateway.push.hub import Hub
from gateway.push.liveness import Liveness
from gateway.settings import Settings, mask_url
from gateway.stopping import REST, Stopping
from gateway.store_opening import StoreOpener, UnfitStore
from gateway.sweeper import Sweeper
from gateway.tls import Certificate
from gateway.workers.worker import Worker
from protocol.errors import RequestError
from storage.catalog.schema import SchemaError
from storage.catalog.sql import SQLCatalog
from storage.encryption import Keyring
from storage.events import Event
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

Listeners = tuple[Hub, Consumers, Arrivals, Deliveries]
"""Who hears what the stores announce."""

log = logs.get_logger(__name__)


class StartError(Exception):
    """The gateway cannot start. The message says why, and what to do."""


START_FAILURES: Final = (
    *(DataFolderError, EmbeddedValkeyError, LayoutError, UnfitStore, SchemaError, RequestError, OSError),
    *(CannotListenError, ValueError),  # a port in use; a URL that only its library finds fault with
)
"""What keeps a node from starting without being its fault."""


class Gateway:
    """One node, or one worker of it. `start` and `stop` are called once each, in the reactor.

    :param worker: its number, if it is one of several processes.
    """

    def __init__(self, reactor: Any, settings: Settings, worker: int | None = None) -> None:
        self._reactor = reactor
        self._settings = settings
        self._is_worker = worker is not None
        self._stopping = Stopping(reactor, settings.shutdown_timeout + REST)
        self._certificate: Certificate | None = None
        self._files: list[OperatorFile] = []
        self.node: Node | None = None
        self.url = ""

    async def start(self) -> None:
        """Start everything and listen. Raises StartError; what was started must be stopped all the same."""
        try:
            await self._start()
        except START_FAILURES as error:
            raise StartError(str(error)) from error

    async def _start(self) -> None:
        settings = self._settings
        metrics = Metrics()
        signing_keys: Sequence[bytes] = ()
        if settings.signing_key_file is not None:
            signing_keys = SigningKeys(Path(settings.signing_key_file))
            self._files.append(signing_keys)
        permitting = make_authorisation(settings, signing_keys, self._files)
        authenticator = make_authenticator(self._reactor, settings, self._files)
        if authenticator is not None:
            self._stopping.add(authenticator.stop)
        access = Access(settings)
        self._certificate = load_certificate(settings)
        worker = Worker(self._reactor, metrics, self.reload) if self._is_worker else None
        store_url, catalog_url = await open_storage(self._reactor, settings, self._stopping)
        keyring = make_keyring(settings, self._files)
        catalog = SQLCatalog(self._reactor, catalog_url, timeout=settings.request_timeout)
        # A database of its own nobody else uses: it can be migrated at once.
        await catalog.start(upgrade=settings.catalog_url is None)
        self._stopping.add(catalog.stop)

        store, stores = await self._open_stores(
            catalog, store_url, keyring, lambda: (hub, consumers, arrivals, deliveries)
        )
        changes = CatalogChanges(self._reactor, store.client, store_url, settings.request_timeout)
        router = Router(
            catalog,
            stores,
            max_entries=CACHED_ROUTES,
            max_bytes=CACHED_BYTES,
            announce=lambda project, name: changes.tell(QueueChanged(project, name)),
            max_queues=settings.max_queues_per_project,
        )
        hub = Hub(self._reactor, router, stores, metrics.pushed)
        liveness = Liveness(self._reactor, router, stores, settings.heartbeat_interval, hub.check)
        liveness.start()
        self._stopping.add(liveness.stop)
        self._stopping.add(hub.stop)
        consumers = Consumers(self._reactor, router, stores, settings.lease_grace, metrics.leases_pushed)
        self._stopping.add(consumers.stop)
        self._watch_catalog(router, stores, changes)
        share = settings.workers if self._is_worker else 1
        waiting = WaitingRequests(settings, share)
        arrivals = Arrivals(self._reactor, router, stores, waiting, metrics.waiting.inc)
        means = means_to_deliver(
            self._reactor, settings, router, stores, metrics.deliveries, signing_keys, share
        )
        deliveries = Deliveries(means, catalog)
        usage = Usage(settings.max_project_bytes) if settings.max_project_bytes else None
        sweeper = Sweeper(self._reactor, router, catalog, settings.sweep_interval, usage, deliveries.add)
        for part in (deliveries, sweeper):
            part.start()
            self._stopping.add(part.stop)

        confirmations = make_confirmations(
            self._reactor, settings, means.senders, signing_keys, metrics.confirmation_sent, self._stopping
        )

        rates = Rates(settings, share)
        self.node = Node(
            reactor=self._reactor,
            settings=settings,
            router=router,
            catalog=catalog,
            stores=stores,
            hub=hub,
            consumers=consumers,
            arrivals=arrivals,
            deliveries=deliveries,
            changes=changes,
            metrics=metrics,
            notification_url="",
            access=access,
            authorisation=permitting,
            open_sockets=OpenSockets(settings, share),
            signing_keys=signing_keys,
            keyring=keyring,
            confirmations=confirmations,
            trusts=means.trusts,
            authenticator=authenticator,
            rates=rates if rates.are_limited else None,
            usage=usage,
        )
        if worker is not None:
            self.node.worker = worker
            self._stopping.add(worker.stop)
        self._listen(self.node)
        if worker is None:
            log.info("listening", url=self.url, **listening_fields(settings, store_url))
        else:
            log.info("worker_listening", url=self.url, pid=os.getpid())
            await worker.listening()

    def _watch_catalog(self, router: Router, stores: Stores, changes: CatalogChanges) -> None:
        """Follow what others do to the catalog."""
        watch = CatalogWatch(self._reactor, router, stores, COMPARE_INTERVAL)
        watch.start()
        self._stopping.add(watch.stop)
        changes.start(watch.changed, watch.compare_soon)
        self._stopping.add(changes.stop)

    async def _open_stores(
        self, catalog: SQLCatalog, url: str, keyring: Keyring, listeners: Callable[[], Listeners]
    ) -> tuple[RedisStore, Stores]:
        """Open the store that the gateway is started with, so that those of other pools can be opened too."""

        def told(incarnation: int, event: Event) -> None:
            for listener in listeners():
                listener.told(incarnation, event)

        def listening(incarnation: int) -> None:
            for listener in listeners():
                listener.listening(incarnation)

        opener = StoreOpener(self._reactor, self._settings, told, listening, keyring)
        store, opened = await opener.open(DEFAULT_POOL, url, STORE_PATIENCE)
        stores = Stores(opened, catalog, opener.open_for_request)
        self._stopping.add(stores.stop)
        return store, stores

    def _listen(self, node: Node) -> None:
        port = listen(self._reactor, node, self._certificate, self._stopping, shared=self._is_worker)
        self.url = listening_url(self._settings, port)
        node.notification_url = notification_url(self._settings, port)

    def reload(self) -> None:
        """Go by what is in the files now: the certificate for new connections, keys and the policy for all.

        What is subscribed or leased to a socket, and may no longer be, ends.
        """
        if self._certificate is not None:
            self._certificate.reload()
        for file in self._files:
            file.reload()
        if self.node is not None:
            self.node.hub.end_all_forbidden()
            self.node.consumers.end_all_forbidden()

    def stop(self) -> Deferred[None]:
        """Stop accepting, finish the requests in flight, close the sockets with 1012, then stop the rest."""
        return self._stopping.run()


def listening_fields(settings: Settings, store_url: str) -> dict[str, str]:
    """What the event `listening` tells of a node, beside its address."""
    return {
        "version": __version__,
        "store": mask_url(store_url) if settings.redis_url else "embedded valkey",
        "catalog": mask_url(settings.catalog_url) if settings.catalog_url else "embedded sqlite",
        "data_dir": str(settings.data_dir),
    }

"""The supervisor of a node with several workers: `serve --workers N`.

It owns what a node has one of: the lock of the data folder, the embedded Valkey, the schema of the embedded
catalog, the port. Each worker is a gateway of its own, for which all that is elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from gateway import logs
from gateway.embedded.storage import open_storage
from gateway.encryption_keys import EncryptionKeys, key_file
from gateway.listening import listening_url, load_certificate, numeric_address
from gateway.service import START_FAILURES, StartError, listening_fields
from gateway.settings import Settings
from gateway.stopping import PART, REST, Stopping
from gateway.workers.node_metrics import NodeMetrics
from gateway.workers.port import reserve
from gateway.workers.worker_process import WorkerDied, WorkerProcess
from storage.catalog.sql import SQLCatalog

ENDING = 0.2
"""Seconds of `shutdown_timeout` that are left to workers to end in, after they have closed their sockets."""

SHORTEST_TIMEOUT = 0.1

log = logs.get_logger(__name__)


class Supervisor:
    """One node. `start` and `stop` are called once each, in the reactor."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._stopping = Stopping(reactor, settings.shutdown_timeout + REST)
        self._metrics = NodeMetrics()
        self._workers: list[WorkerProcess] = []

    async def start(self) -> None:
        """Start all workers. Raises StartError; what was started must be stopped all the same."""
        try:
            await self._start()
        except (*START_FAILURES, WorkerDied) as error:
            raise StartError(str(error)) from error

    def reload(self) -> None:
        """Have all workers use the certificate that is in the files now."""
        for worker in self._workers:
            Deferred.fromCoroutine(worker.reload())

    def stop(self) -> Deferred[None]:
        """End the workers, each after it has closed its sockets with 1012, then the rest."""
        return self._stopping.run()

    async def _start(self) -> None:
        settings = self._settings
        load_certificate(settings)  # what keeps each worker from starting shall be said once
        store_url, catalog_url = await open_storage(self._reactor, settings, self._stopping)
        encryption_keys = key_file(settings)
        if encryption_keys is not None:
            EncryptionKeys(encryption_keys)  # as with the certificate
        if settings.catalog_url is None:
            await self._migrate(catalog_url)
        reserved = reserve(numeric_address(settings.host), settings.port)
        self._stopping.add(reserved.close)
        port = reserved.getsockname()[1]
        for_workers = replace(
            settings,
            port=port,
            redis_url=store_url,
            catalog_url=catalog_url,
            encryption_key_file=encryption_keys,
            shutdown_timeout=max(SHORTEST_TIMEOUT, settings.shutdown_timeout - ENDING),
        )
        self._workers = [
            WorkerProcess(self._reactor, number, for_workers, self._node_metrics, self._metrics.ended)
            for number in range(1, settings.workers + 1)
        ]
        self._stopping.add(self._stop_workers, settings.shutdown_timeout + 2 * PART)
        # What keeps one from starting keeps all: it shall be said once.
        await self._workers[0].start()
        await _all([worker.start() for worker in self._workers[1:]])
        log.info(
            "listening",
            url=listening_url(settings, port),
            workers=settings.workers,
            **listening_fields(settings, store_url),
        )

    async def _migrate(self, catalog_url: str) -> None:
        catalog = SQLCatalog(self._reactor, catalog_url, timeout=self._settings.request_timeout)
        await catalog.start(upgrade=True)
        await catalog.stop()

    async def _stop_workers(self) -> None:
        seconds = self._settings.shutdown_timeout + PART
        await DeferredList([Deferred.fromCoroutine(worker.stop(seconds)) for worker in self._workers])

    async def _node_metrics(self) -> bytes:
        await DeferredList([Deferred.fromCoroutine(self._look_at(worker)) for worker in self._workers])
        return self._metrics.text()

    async def _look_at(self, worker: WorkerProcess) -> None:
        text = await worker.report()
        if text is not None:
            self._metrics.told(worker.number, text)


async def _all(calls: list[Any]) -> None:
    """Wait for all; the first failure is raised when all have ended."""
    outcomes = await DeferredList([Deferred.fromCoroutine(call) for call in calls], consumeErrors=True)
    for _, outcome in outcomes:
        if isinstance(outcome, Failure):
            outcome.raiseException()

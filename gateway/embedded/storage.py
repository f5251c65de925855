"""The store and the catalog that a node has of its own, where its settings name no others."""

from __future__ import annotations

import os
from typing import Any

from gateway.embedded.lock import DataFolderLock
from gateway.embedded.valkey import STOP_DEADLINE, EmbeddedValkey
from gateway.settings import Settings
from gateway.stopping import Stopping
from storage.catalog.engine import sqlite_url


async def open_storage(reactor: Any, settings: Settings, stopping: Stopping) -> tuple[str, str]:
    """Lock the data folder if it is needed, and start a Valkey on it if no other store is named.

    What was started is added to `stopping`. Raises DataFolderError, EmbeddedValkeyError.

    :return: the URLs of the store and of the catalog, whichever they are.
    """
    if settings.redis_url is None or settings.catalog_url is None:
        os.umask(0o077)  # what is in the folder is for this user only
        lock = DataFolderLock(settings.data_dir)
        lock.acquire()
        stopping.add(lock.release)
    store_url = settings.redis_url
    if store_url is None:
        valkey = EmbeddedValkey(settings.data_dir, settings.fsync, reactor)
        stopping.add(valkey.stop, STOP_DEADLINE)
        await valkey.start()
        store_url = valkey.url
    return store_url, settings.catalog_url or sqlite_url(settings.data_dir / "catalog.sqlite")

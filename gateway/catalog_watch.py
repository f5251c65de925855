"""Keeps what this node knows of the catalog up to date while other nodes change it.

A change is announced to all nodes. What was not heard is found by comparing with the catalog, now and then,
and whenever the store announces again after a pause.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gateway.logs import get_logger
from protocol.errors import RequestError
from storage.redis.changes import Change, PoolsChanged, QueueChanged
from storage.router import Router
from storage.stores import Stores

log = get_logger(__name__)


class CatalogWatch:
    """Compares with the catalog every `interval` seconds, and when it is told to."""

    def __init__(self, reactor: Any, router: Router, stores: Stores, interval: float) -> None:
        self._reactor = reactor
        self._router = router
        self._stores = stores
        self._interval = interval
        self._timer: IDelayedCall | None = None
        self._comparing: Deferred[None] | None = None
        self._again = False
        self._stopped = False

    def start(self) -> None:
        """Begin; the first comparison comes after one interval."""
        self._compare_in(self._interval)

    async def stop(self) -> None:
        """Stop, after the comparison that is under way."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._comparing is not None:
            await self._comparing

    def changed(self, change: Change) -> None:
        """Another node has changed the catalog."""
        match change:
            case QueueChanged(project, name):
                self._router.forget(project, name)
            case PoolsChanged():
                self.compare_soon()

    def compare_soon(self) -> None:
        """Something was changed, or may have been."""
        if self._timer is not None:
            self._timer.reset(0)
        else:  # what the comparison under way has read may be old
            self._again = True

    def _compare_in(self, seconds: float) -> None:
        if not self._stopped:
            self._timer = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._again = False
        self._comparing = Deferred.fromCoroutine(self._compare())

    async def _compare(self) -> None:
        try:
            await self._stores.refresh()
            await self._router.check()
        except RequestError as error:  # known queues go on without the catalog
            log.warning("catalog_not_compared", reason=str(error))
        # Whatever it is, there must be a next comparison.
        except Exception:
            log.exception("catalog_comparison_broke")
        self._compare_in(0 if self._again else self._interval)

"""A chaos proxy in a thread of its own, for tests that decide themselves when something breaks.

::

    with chaos_thread(gateway.http_url) as proxy:
        with EventSource(proxy.url, ...) as events:
            proxy.strike("cut")
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.support.chaos_proxy import ChaosProxy, Fault


class ChaosThread:
    """Forwards connections to a target until it is told to break them."""

    def __init__(self, target: str) -> None:
        place = urlsplit(target)
        self._proxy = ChaosProxy(str(place.hostname), place.port or 80)
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self._thread.start()
        assert self._begun.wait(30)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._proxy.port}"

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._proxy.connections

    def strike(self, fault: Fault) -> None:
        """Do this to all connections that are open."""
        self._loop.call_soon_threadsafe(self._proxy.strike, fault)

    def stop(self) -> None:
        """End it, and all connections with it."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def _run(self) -> None:
        async def serve() -> None:
            async with self._proxy:
                self._begun.set()
                await self._ended.wait()

        self._loop.run_until_complete(serve())
        self._loop.close()


@contextlib.contextmanager
def chaos_thread(target: str) -> Iterator[ChaosThread]:
    """One in front of an address, ended at the end."""
    proxy = ChaosThread(target)
    try:
        yield proxy
    finally:
        proxy.stop()

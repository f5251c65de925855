"""Looks up the names of clients' servers, in threads of its own.

The system's resolver blocks for as long as a name server does not answer. Twisted's threads are few, and the
gateway's own look-ups need them: a client's name must not be able to take them all.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from threading import Thread
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed

from storage.shared_work import SharedWork

THREADS: Final = 32
"""Look-ups at the same time, at most one for each name."""


class Names:
    """Finds the addresses of hosts."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._turns = DeferredSemaphore(THREADS)
        self._look_ups: SharedWork[str, list[str]] = SharedWork()

    def addresses(self, host: str) -> Deferred[list[str]]:
        """The addresses of a host, which may be one itself; empty if there are none. It may take long."""
        try:
            ip_address(host)
        except ValueError:
            # Whoever gives up waiting leaves the thread to those who ask next.
            return self._look_ups.join(host, lambda: self._look_up(host), lambda _: None)
        return succeed([host])

    async def _look_up(self, host: str) -> list[str]:
        await self._turns.acquire()
        try:
            found: Deferred[list[str]] = Deferred()
            # Not joined at the end of the process: it may still wait for a name server then.
            Thread(target=self._ask, args=(host, found), name="names", daemon=True).start()
            return await found
        finally:
            self._turns.release()

    def _ask(self, host: str, found: Deferred[list[str]]) -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            answers = []
        self._reactor.callFromThread(found.callback, [str(answer[4][0]) for answer in answers])

"""Whose turn it is to send: bounded for each server and in all, fair, and careful with servers that fail.

Who wants to send waits for a turn at its endpoint, first come, first served. Of the endpoints that somebody
waits for, the one with the fewest turns under way is next, so a slow one cannot keep the others waiting for
long. An endpoint that fails FAILURES times in a row is left alone (a circuit breaker): one turn goes through
after a pause, which grows until one succeeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gateway.delivery.sender import Endpoint
from gateway.logs import get_logger

FAILURES: Final = 10
"""Failures in a row after which an endpoint is left alone."""

FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until one turn goes through; doubled with each that fails."""

REMEMBERED: Final = 10_000
"""Endpoints whose failures are remembered while nobody waits for them."""

log = get_logger(__name__)


class Turn:
    """The right to send to an endpoint. `end` must be called, once or more often."""

    def __init__(self, ended: Callable[[], None], told: Callable[[bool], None]) -> None:
        self._ended = ended
        self._told = told
        self._is_over = False

    def succeeded(self) -> None:
        """The endpoint has answered, in a way that shows that it works."""
        self._told(True)

    def failed(self) -> None:
        """It did not."""
        self._told(False)

    def end(self) -> None:
        """Let others have their turn."""
        if not self._is_over:
            self._is_over = True
            self._ended()


class _Server:
    """One endpoint: who waits for it, how many turns are under way, and how well it does."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.waiting: dict[Deferred[Turn], None] = {}
        self.under_way = 0
        self.failures = 0
        self.pause = 0.0
        """Seconds; 0 while the circuit is closed."""
        self.timer: IDelayedCall | None = None
        """Runs while nothing may go through."""

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.under_way


class Endpoints:
    """Gives turns: `per_endpoint` at the same time for each endpoint, `in_all` together."""

    def __init__(self, reactor: Any, per_endpoint: int, in_all: int) -> None:
        self._reactor = reactor
        self._per_endpoint = per_endpoint
        self._left = in_all
        self._servers: dict[Endpoint, _Server] = {}
        self._next: list[dict[Endpoint, _Server]] = [{} for _ in range(per_endpoint)]
        """Those that a turn can be given for, by how many turns they have."""
        self._stopped = False

    @property
    def count(self) -> int:
        """How many endpoints somebody sends to, or waits for."""
        return sum(not server.is_idle for server in self._servers.values())

    @property
    def open_circuits(self) -> int:
        """How many endpoints are left alone."""
        return sum(server.pause > 0 for server in self._servers.values())

    def turn(self, endpoint: Endpoint) -> Deferred[Turn]:
        """Fires when it is the caller's turn. May be cancelled until then."""
        server = self._servers.get(endpoint)
        if server is None:
            server = self._servers[endpoint] = _Server(endpoint)
            self._forget_one()
        waiting: Deferred[Turn] = Deferred(lambda gone: self._leave(server, gone))
        server.waiting[waiting] = None
        self._queue(server)
        self._give()
        return waiting

    def waits_for(self, endpoint: Endpoint) -> bool:
        """Whether somebody waits for a turn there."""
        server = self._servers.get(endpoint)
        return server is not None and bool(server.waiting)

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped = True
        for server in self._servers.values():
            if server.timer is not None:
                server.timer.cancel()
                server.timer = None

    def _leave(self, server: _Server, waiting: Deferred[Turn]) -> None:
        server.waiting.pop(waiting, None)
        self._queue(server)
        self._forget(server)

    def _give(self) -> None:
        while self._left and not self._stopped:
            server = next((each for few in self._next for each in few.values()), None)
            if server is None:
                return
            waiting = next(iter(server.waiting))
            del server.waiting[waiting]
            self._unqueue(server)
            server.under_way += 1
            self._left -= 1
            self._queue(server)
            waiting.callback(self._turn(server))

    def _turn(self, server: _Server) -> Turn:
        def ended() -> None:
            self._unqueue(server)
            server.under_way -= 1
            self._left += 1
            self._queue(server)
            self._forget(server)
            self._give()

        return Turn(ended, lambda success: self._told(server, success))

    def _queue(self, server: _Server) -> None:
        """Have a turn given for it, if somebody waits and it may be sent to."""
        most = self._per_endpoint
        if server.pause:
            most = 0 if server.timer is not None else 1
        if server.waiting and server.under_way < most:
            self._next[server.under_way].setdefault(server.endpoint, server)
        else:
            self._unqueue(server)

    def _unqueue(self, server: _Server) -> None:
        if server.under_way < self._per_endpoint:
            self._next[server.under_way].pop(server.endpoint, None)

    def _told(self, server: _Server, success: bool) -> None:
        if success:
            server.failures = 0
            if server.pause:
                log.info("endpoint_works", **_shown(server))
                self._close(server)
            return
        server.failures += 1
        if server.failures < FAILURES or server.timer is not None:
            return
        if not server.pause:
            log.warning("endpoint_fails", failures=server.failures, **_shown(server))
        server.pause = min(2 * server.pause, LONGEST_PAUSE) or FIRST_PAUSE
        if not self._stopped:
            server.timer = self._reactor.callLater(server.pause, self._try, server)
        self._queue(server)

    def _try(self, server: _Server) -> None:
        server.timer = None
        self._queue(server)
        self._give()

    def _close(self, server: _Server) -> None:
        server.pause = 0.0
        if server.timer is not None:
            server.timer.cancel()
            server.timer = None
        self._queue(server)
        self._give()

    def _forget(self, server: _Server) -> None:
        if server.is_idle and not server.failures:
            self._servers.pop(server.endpoint, None)

    def _forget_one(self) -> None:
        """What an endpoint did that nobody sends to any more is not kept for ever."""
        if len(self._servers) <= REMEMBERED:
            return
        idle = next((server for server in self._servers.values() if server.is_idle), None)
        if idle is not None:
            if idle.timer is not None:
                idle.timer.cancel()
            del self._servers[idle.endpoint]


def _shown(server: _Server) -> dict[str, Any]:
    scheme, host, port = server.endpoint
    return {"endpoint": f"{scheme}://{host}:{port}"}

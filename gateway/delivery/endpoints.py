"""Whose turn it is to send: bounded for each server and in all, fair, and careful with servers that fail.

Who wants to send waits for a turn at its endpoint, first come, first served. The project with the fewest
turns under way is next, and of its endpoints the one with the fewest, so a slow one cannot keep the others
waiting for long. An endpoint that fails FAILURES times in a row is left alone (a circuit breaker): one turn
goes through after a pause, which grows until one succeeds. Each project has endpoints of its own: what a
server refuses to it, or has it wait for, costs no other project that sends to the same server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gateway.delivery.fewest import Fewest
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


class _Project:
    """One project: how many turns it has, and at which of its endpoints it may have more."""

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: Fewest[_Server] = Fewest()
        self.known = 0


class _Server:
    """One endpoint of a project: who waits for it, how many turns are under way, and how well it does."""

    def __init__(self, project: _Project, name: str, endpoint: Endpoint) -> None:
        self.project = project
        self.project_name = name
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
    """Gives turns: `per_endpoint` at the same time for each endpoint of a project, `in_all` together."""

    def __init__(self, reactor: Any, per_endpoint: int, in_all: int) -> None:
        self._reactor = reactor
        self._per_endpoint = per_endpoint
        self._left = in_all
        self._servers: dict[tuple[str, Endpoint], _Server] = {}
        self._projects: dict[str, _Project] = {}
        self._waiting: Fewest[_Project] = Fewest()
        """Those that a turn can be given to."""
        self._stopped = False

    @property
    def count(self) -> int:
        """How many endpoints somebody sends to, or waits for."""
        return sum(not server.is_idle for server in self._servers.values())

    @property
    def open_circuits(self) -> int:
        """How many endpoints are left alone."""
        return sum(server.pause > 0 for server in self._servers.values())

    def turn(self, project: str, endpoint: Endpoint) -> Deferred[Turn]:
        """Fires when it is the caller's turn. May be cancelled until then."""
        server = self._servers.get((project, endpoint)) or self._add(project, endpoint)
        waiting: Deferred[Turn] = Deferred(lambda gone: self._leave(server, gone))
        server.waiting[waiting] = None
        self._queue(server)
        self._give()
        return waiting

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
            project = self._waiting.first()
            server = None if project is None else project.waiting.first()
            if server is None:
                return
            waiting = next(iter(server.waiting))
            del server.waiting[waiting]
            self._count(server, 1)
            waiting.callback(self._turn(server))

    def _turn(self, server: _Server) -> Turn:
        def ended() -> None:
            self._count(server, -1)
            self._forget(server)
            self._give()

        return Turn(ended, lambda success: self._told(server, success))

    def _count(self, server: _Server, turns: int) -> None:
        server.under_way += turns
        server.project.under_way += turns
        self._left -= turns
        self._queue(server)

    def _queue(self, server: _Server) -> None:
        """Have a turn given for it, if somebody waits and it may be sent to."""
        most, project = self._per_endpoint, server.project
        if server.pause:
            most = 0 if server.timer is not None else 1
        if server.waiting and server.under_way < most:
            project.waiting.put(server, server.under_way)
        else:
            project.waiting.remove(server)
        if project.waiting.first() is not None:
            self._waiting.put(project, project.under_way)
        else:
            self._waiting.remove(project)

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

    # What is known of endpoints

    def _add(self, name: str, endpoint: Endpoint) -> _Server:
        project = self._projects.setdefault(name, _Project())
        project.known += 1
        server = self._servers[name, endpoint] = _Server(project, name, endpoint)
        if len(self._servers) > REMEMBERED:  # what one did that nobody sends to any more is not kept for ever
            idle = next(
                (each for each in self._servers.values() if each.is_idle and each is not server), None
            )
            if idle is not None:
                if idle.timer is not None:
                    idle.timer.cancel()
                self._remove(idle)
        return server

    def _forget(self, server: _Server) -> None:
        if server.is_idle and not server.failures:
            self._remove(server)

    def _remove(self, server: _Server) -> None:
        if self._servers.pop((server.project_name, server.endpoint), None) is not None:
            server.project.known -= 1
            if not server.project.known:
                del self._projects[server.project_name]


def _shown(server: _Server) -> dict[str, Any]:
    scheme, host, port = server.endpoint
    return {"endpoint": f"{scheme}://{host}:{port}"}

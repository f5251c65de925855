"""One worker as its supervisor sees it: started, watched, started again when it dies, and stopped."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import gateway
from gateway.logs import get_logger
from gateway.settings import PREFIX, Settings
from gateway.workers.channel import Channel, ChannelClosed, connect
from gateway.workers.worker import CHANNEL_DESCRIPTOR, LISTENING, METRICS, RELOAD, pack_settings

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two starts: doubled after each, from the first again after a run of as long."""

REPORT_TIMEOUT = 2.0
"""Seconds that a worker has to say what it has counted."""

log = get_logger(__name__)


class WorkerDied(Exception):
    """The worker ended before it listened. The message says how."""


class WorkerProcess:
    """Worker `number`. `node_metrics` gives what all have counted, `on_ended` is told of each end."""

    def __init__(
        self,
        reactor: Any,
        number: int,
        settings: Settings,
        node_metrics: Callable[[], Awaitable[bytes]],
        on_ended: Callable[[int], None],
    ) -> None:
        self.number = number
        self._reactor = reactor
        self._settings = pack_settings(settings)
        self._node_metrics = node_metrics
        self._on_ended = on_ended
        self._run: _Run | None = None
        self._keeping: Deferred[None] | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens. Raises WorkerDied, OSError."""
        run = self._run = self._launch()
        if not await run.listening:
            raise WorkerDied(f"worker {self.number} ended as it started, with {run.outcome}")
        self._keeping = Deferred.fromCoroutine(self._keep_running(run))
        self._keeping.addErrback(_log_unless_cancelled)

    async def stop(self, seconds: float) -> None:
        """End it: SIGTERM, on which it closes its sockets; SIGKILL after so many seconds."""
        if self._keeping is not None:
            self._keeping.cancel()
        run = self._run
        if run is None or run.outcome is not None:
            return
        run.signal("TERM")
        try:
            await run.exited().addTimeout(seconds, self._reactor)
        except (TimeoutError, CancelledError):
            log.warning("worker_killed", number=self.number, reason="it did not stop in time")
            run.signal("KILL")
            await run.exited()

    async def report(self) -> bytes | None:
        """What it has counted; None if it does not say so in time."""
        if self._run is None or not self._run.listens:
            return None
        try:
            return await self._run.channel.ask(METRICS, REPORT_TIMEOUT)
        except (TimeoutError, ChannelClosed):
            return None

    async def reload(self) -> None:
        """Have it load the certificate anew. One that does not answer has ended: its successor begins so."""
        if self._run is not None:
            with suppress(TimeoutError, ChannelClosed):
                await self._run.channel.ask(RELOAD, REPORT_TIMEOUT)

    def _launch(self) -> _Run:
        run = _Run(self._reactor, self._node_metrics)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                run.start(self._reactor, self.number, theirs, self._settings)
            except BaseException:
                ours.close()
                raise
        connect(self._reactor, ours, run.channel)
        return run

    async def _keep_running(self, run: _Run) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self._reactor.seconds()
            reason = await run.exited()
            log.error("worker_died", number=self.number, reason=reason)
            self._on_ended(self.number)
            if self._reactor.seconds() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            next_run = None
            while next_run is None:
                await deferLater(self._reactor, pause, lambda: None)
                pause = min(2 * pause, LONGEST_PAUSE)
                try:
                    next_run = self._run = self._launch()
                except OSError as error:  # no process or no descriptor is to be had now
                    log.error("worker_not_started", number=self.number, reason=str(error))
            run = next_run


class _Run(ProcessProtocol):
    """One run of a worker, from its start to its exit."""

    def __init__(self, reactor: Any, node_metrics: Callable[[], Awaitable[bytes]]) -> None:
        self.channel = Channel(reactor, self._answer, lambda: None)
        self.outcome: str | None = None
        """How it ended, for people; None while it runs."""
        self.listening: Deferred[bool] = Deferred()
        """Fires when it listens, with True, or has ended before."""
        self.listens = False
        self._node_metrics = node_metrics
        self._waiters: list[Deferred[str]] = []

    def start(self, reactor: Any, number: int, channel: socket.socket, settings: bytes) -> None:
        """Start the process. Raises OSError."""
        # The folder that this very package is from, where it is not an installed one; never just any folder
        # that the gateway happens to be started in.
        here = str(Path(gateway.__file__).parents[1])
        safe = [] if sys.path[0] in ("", here) else ["-P"]
        arguments = [sys.executable, *safe, "-m", "gateway.workers", str(number)]
        descriptors: dict[int, Any] = {0: "w", 1: 1, 2: 2, CHANNEL_DESCRIPTOR: channel.fileno()}
        # It is told its settings, so it needs none of those that may hold a password from here.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        reactor.spawnProcess(self, sys.executable, arguments, env=environment, childFDs=descriptors)
        assert self.transport is not None  # spawnProcess has set it
        self.transport.write(settings)
        self.transport.closeStdin()

    def exited(self) -> Deferred[str]:
        """Fires with `outcome` when the process has ended. May be cancelled."""
        waiter: Deferred[str] = Deferred()
        if self.outcome is None:
            self._waiters.append(waiter)
        else:
            waiter.callback(self.outcome)
        return waiter

    def signal(self, name: str) -> None:
        """Send it a signal, if it is there."""
        assert self.transport is not None  # it has been started
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)

    async def _answer(self, question: str) -> bytes:
        if question == METRICS:
            return await self._node_metrics()
        if question == LISTENING and not self.listens:
            self.listens = True
            self._tell_listening(True)
        return b""

    def _tell_listening(self, listens: bool) -> None:
        if not self.listening.called:
            self.listening.callback(listens)

    def processExited(self, reason: Failure) -> None:
        status = cast(ProcessTerminated, reason.value)  # or ProcessDone, with the same fields
        if status.signal is None:
            self.outcome = f"exit status {status.exitCode}"
        else:
            self.outcome = f"signal {status.signal} ({signal.strsignal(status.signal)})"
        self.listens = False
        self._tell_listening(False)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(self.outcome)


def _log_unless_cancelled(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):
        log.error("worker_not_watched", exc_info=failure.value)

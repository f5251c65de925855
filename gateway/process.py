"""The gateway as a process: it runs until a signal comes, and ends with an exit code."""

from __future__ import annotations

import gc
import signal
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway import logs
from gateway.garbage import Searches
from gateway.operator_file import has_files_to_reload
from gateway.reactor import install
from gateway.service import Gateway, StartError
from gateway.settings import Settings
from gateway.workers.supervisor import Supervisor

log = logs.get_logger(__name__)


def serve(settings: Settings, worker: int | None = None) -> int:
    """Run a node until SIGTERM, SIGINT, or its terminal closes; returns the exit code: 0, 1 without a start.

    :param worker: the number of this process, if it is only one of a node's workers.
    """
    # Only now is it known that a reactor is wanted. Importing it installs Twisted's own where none is yet.
    install()
    from twisted.internet import reactor  # noqa: PLC0415

    # Twisted measures by the clock on the wall: set back, it would hold up every timer for as long.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # that is the point
    logs.configure(settings.log_level, settings.log_format, worker=worker)
    several = settings.workers > 1 and worker is None
    node = Supervisor(reactor, settings) if several else Gateway(reactor, settings, worker)
    code = _Process(reactor, node, reloads=has_files_to_reload(settings)).run()
    # The end of the process gives all memory back at once: searching it for garbage would take half a second.
    gc.freeze()
    return code


class _Process:
    """One run of the reactor."""

    def __init__(self, reactor: Any, node: Gateway | Supervisor, reloads: bool) -> None:
        self._reactor = reactor
        self._node = node
        self._reloads = reloads
        self._searches = Searches(reactor)
        self._ending = False
        self._code = 0

    def run(self) -> int:
        """Start, run until the end, stop; returns the exit code."""
        self._reactor.callWhenRunning(self._start)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._node.stop)
        self._reactor.addSystemEventTrigger("after", "shutdown", self._searches.stop)
        self._reactor.run()
        if self._code == 0:
            log.info("stopped")
        return self._code

    def _start(self) -> None:
        # Twisted's own handlers, which run() has just set, fail at the second signal.
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        if self._reloads:
            signal.signal(signal.SIGHUP, self._reload)
        elif signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not where nohup has it ignored
            signal.signal(signal.SIGHUP, self._end)  # its terminal is gone: no server shall be left behind
        started = Deferred.fromCoroutine(self._node.start())
        started.addCallback(lambda _: self._searches.start())
        started.addErrback(self._failed)

    def _end(self, *_: object) -> None:
        if not self._ending:  # a second signal while it stops changes nothing
            self._ending = True
            self._reactor.callFromThread(self._reactor.stop)

    def _reload(self, *_: object) -> None:
        self._reactor.callFromThread(self._node.reload)

    def _failed(self, failure: Failure) -> None:
        if self._ending:  # a signal has stopped what was being started
            return
        self._code = 1
        if failure.check(StartError):
            log.error("start_failed", reason=failure.getErrorMessage())
        else:
            log.error("start_failed", failure=failure.getTraceback())
        self._end()

"""One run of the Valkey server: its process, its exit, and what it says."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from gateway.logs import get_logger

_log = get_logger("valkey")

_LINE = re.compile(r"[0-9]+:[A-Z] [0-9]+ \w+ [0-9]+ [0-9:.]+ ([-.*#]) (.*)")
_LONGEST_LINE = 4096
_KEPT_LINES = 20
_LAST_OUTPUT = 0.5
"""Seconds after its exit in which the rest of its output is awaited."""


class Server(ProcessProtocol):
    """The process, from its start to its exit. What it prints becomes events of our log."""

    def __init__(self, reactor: Any) -> None:
        self.outcome: str | None = None
        """How it ended, for people; None while it runs."""
        self.output: deque[str] = deque(maxlen=_KEPT_LINES)
        """The last lines that it said."""
        self._reactor = reactor
        self._line = b""
        self._waiters: list[Deferred[str]] = []
        self._late: Any = None
        self._exit = ""
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Its process id; None before its start and after its end."""
        return None if self.transport is None else self.transport.pid

    def exited(self) -> Deferred[str]:
        """Fires with `outcome` when the process has ended. May be cancelled."""
        waiter: Deferred[str] = Deferred()
        if self.outcome is None:
            self._waiters.append(waiter)
        else:
            waiter.callback(self.outcome)
        return waiter

    async def stop(self, deadline: float) -> bool:
        """End it: SIGTERM, on which it writes and syncs what it has; SIGKILL after `deadline` seconds.

        :return: whether it ended by itself.
        """
        self._stopping = True
        self._signal("TERM")
        try:
            await self.exited().addTimeout(deadline, self._reactor)
        except (TimeoutError, CancelledError):  # a caller whose own time is up cancels this
            _log.warning("valkey_killed", reason="it did not stop in time")
            self._signal("KILL")
            await self.exited()
            return False
        return True

    def _signal(self, name: str) -> None:
        assert self.transport is not None  # it has been started
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)

    # --- called by Twisted ---

    def connectionMade(self) -> None:
        assert self.transport is not None  # Twisted sets it before this call
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > _LONGEST_LINE:
            lines.append(self._line)
            self._line = b""
        for line in lines:
            self._said(line[:_LONGEST_LINE].decode(errors="replace").strip())

    errReceived = outReceived

    def processExited(self, reason: Failure) -> None:
        status = cast(ProcessTerminated, reason.value)  # or ProcessDone, with the same fields
        if status.signal is None:
            self._exit = f"exit status {status.exitCode}"
        else:
            self._exit = f"signal {status.signal} ({signal.strsignal(status.signal)})"
        # A child of its own may hold its output open for longer.
        self._late = self._reactor.callLater(_LAST_OUTPUT, self._ended)

    def processEnded(self, reason: Failure) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
            self._ended()

    # --- end ---

    def _ended(self) -> None:
        self.outcome = self._exit
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(self.outcome)

    def _said(self, line: str) -> None:
        if not line:
            return
        match = _LINE.fullmatch(line)
        mark, text = match.groups() if match else ("#", line)
        self.output.append(text)
        # "#" is its warning, which it also gives its goodbye.
        tell: Callable[..., None] = _log.warning if mark == "#" and not self._stopping else _log.debug
        tell("valkey", message=text)

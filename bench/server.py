"""A server under test: started in a folder of its own, watched from outside, ended."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import cpu_seconds, executable, resident_bytes, tree

START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
SETTLE_TIMEOUT = 60.0

STORES = frozenset({"valkey-server", "redis-server", "redis-check-rdb"})
"""Programs that keep the messages of a server; their CPU is told apart."""


class ServerError(Exception):
    """A server did not start or did not calm down. The message ends with the end of its log."""


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, and resident bytes of the server without its store."""

    server: float
    store: float
    resident: int


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One or more programs that serve together. The last one started is the one that is waited for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> Path:
        """Start a program; returns the file that its output goes to.

        Its environment has no proxies, which upstream would use for its notifications, and no settings of
        a gateway; it may open as many files as the system lets it.
        """
        log = self.folder / f"{name}.log"
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.lower().endswith("_proxy") and not key.startswith("ZAQAR_GATEWAY_")
        }
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env=kept | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return log

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready` says so. Raises `ServerError` with the log's end if it never will."""
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            ended = [process for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise ServerError(f"{self._processes[-1].args!s:.300} did not start:\n{self._log_end()}")
            time.sleep(0.02)

    def wait_port(self, port: int) -> None:
        """Wait until something listens on the port, and take it for the server's."""

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self.wait(listens)
        self.port = port

    def usage(self) -> Usage:
        """What it has used so far."""
        pids = {pid for process in self._processes for pid in tree(process.pid)}
        store = {pid for pid in pids if executable(pid) in STORES}
        rest = pids - store
        return Usage(cpu_seconds(rest), cpu_seconds(store), resident_bytes(rest))

    def settle(self) -> None:
        """Wait until it does nothing any more, such as clean up behind sockets that closed."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        before = self.usage()
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.usage()
            if now.server + now.store - before.server - before.store < 0.01:
                return
            before = now
        raise ServerError(f"it still works {SETTLE_TIMEOUT:.0f} s later:\n{self._log_end()}")

    def stop(self) -> None:
        """End its programs, the newest first: by SIGTERM, or by SIGKILL if that is not heard."""
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _log_end(self) -> str:
        lines = [line for log in sorted(self.folder.glob("*.log")) for line in log.read_text().splitlines()]
        return "\n".join(line[:300] for line in lines[-15:])


def raise_file_limit() -> None:
    """Let this process, and all that it starts, open as many files as the system allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""The gateway as a program of its own, on a real port, as a person starts it.

::

    with start_gateway(tmp_path / "data") as gateway:
        client = Client(gateway.url)
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]

START_TIMEOUT = 60.0
"""Seconds from the start of the program to its `listening` event."""

STOP_TIMEOUT = 60.0
"""Seconds the program gets to end after SIGTERM before the test fails."""

_running: set[Gateway] = set()


class Gateway:
    """A running `zaqar-gateway serve`.

    `log_lines` holds its log so far, one line per item, and `events` the same read as JSON.
    """

    def __init__(
        self, data_dir: Path, arguments: list[str], environment: dict[str, str], prefix: list[str]
    ) -> None:
        self.data_dir = data_dir
        self.log_lines: list[str] = []
        self._news = threading.Condition()
        self._log_ended = False
        # What the caller's shell sets for a gateway must not reach this one.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ZAQAR_GATEWAY_")}
        command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--data-dir", str(data_dir)]
        self._process = subprocess.Popen(
            [*prefix, *command, *arguments],
            cwd=ROOT,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        _running.add(self)
        self._reader = threading.Thread(target=self._read_log, name="gateway-log", daemon=True)
        self._reader.start()
        self.url = ""

    @property
    def pid(self) -> int:
        """The process id of the program."""
        return self._process.pid

    @property
    def http_url(self) -> str:
        """Where the same port answers plain HTTP: `http://host:port`, without a slash at the end."""
        return self.url.replace("ws", "http", 1).rstrip("/")

    def send_signal(self, number: int) -> None:
        """Send the program a signal and return at once."""
        self._process.send_signal(number)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of the log that are JSON objects."""
        found = []
        for line in list(self.log_lines):
            with contextlib.suppress(ValueError):
                document = json.loads(line)
                if isinstance(document, dict):
                    found.append(document)
        return found

    def wait_event(self, name: str, timeout: float = 30.0, *, count: int = 1) -> dict[str, Any]:
        """Wait for the `count`-th log line whose `event` is `name`, and return it.

        Raises `AssertionError` with the log after `timeout` seconds, or at once if the program has ended.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._news:
                found = [event for event in self.events if event.get("event") == name]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if self._log_ended or left <= 0:
                    raise AssertionError(f"no event {name!r}; the log:\n" + "\n".join(self.log_lines))
                self._news.wait(left)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for the program to end by itself; its exit code. The rest of its log has been read then."""
        code = self._process.wait(timeout)
        # A process it left behind may hold the log open: no reason to wait long.
        self._reader.join(5)
        _running.discard(self)
        return code

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self._process.terminate()

    def kill(self) -> None:
        """End the program as `kill -9` does. Its embedded store is left behind, as in life, until `close`."""
        self._process.kill()
        self.wait()

    def stop(self) -> None:
        """End it by SIGTERM. It must exit with 0 and leave no process behind in its data folder."""
        try:
            self.terminate()
            code = self.wait()
            assert code == 0, f"exit code {code}; the log:\n" + "\n".join(self.log_lines)
            left = processes_in(self.data_dir)
            assert not left, f"the gateway ended and left processes {left} in {self.data_dir}"
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing running, whatever state the program is in; what it left behind has ended then too."""
        if self._process.poll() is None:
            self.kill()
        _running.discard(self)
        deadline = time.monotonic() + STOP_TIMEOUT
        while left := processes_in(self.data_dir):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < deadline, f"processes {left} do not end"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A test that failed, or ended the program itself, shall not fail once more here.
        if kind is None and self._process.poll() is None:
            self.stop()
        else:
            self.close()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self.log_lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._log_ended = True
            self._news.notify_all()
        self._process.stderr.close()


def launch_gateway(
    data_dir: Path, *arguments: str, environment: dict[str, str] | None = None, prefix: Sequence[str] = ()
) -> Gateway:
    """Start the program and return at once; for a start that is meant to fail."""
    return Gateway(data_dir, list(arguments), environment or {}, list(prefix))


def start_gateway(
    data_dir: Path, *arguments: str, environment: dict[str, str] | None = None, prefix: Sequence[str] = ()
) -> Gateway:
    """Start the program and wait until it listens.

    :param data_dir: its `--data-dir`; the embedded store lives there unless the arguments name another.
    :param arguments: further ones, such as `"--redis-url", store.url`.
    :param environment: variables over the inherited ones, of which none begins with `ZAQAR_GATEWAY_`.
    :param prefix: a program that runs it, in its own process: `("strace", "-D", "-f")`.
    """
    gateway = launch_gateway(data_dir, *arguments, environment=environment, prefix=prefix)
    try:
        gateway.url = gateway.wait_event("listening", START_TIMEOUT)["url"]
    except BaseException:
        gateway.close()
        raise
    return gateway


@contextlib.contextmanager
def starting(data_dir: Path, *settings: str) -> Iterator[Callable[..., Gateway]]:
    """What starts gateways with these arguments and further ones; they are stopped at the end."""
    with contextlib.ExitStack() as closing:
        yield lambda *arguments: closing.enter_context(start_gateway(data_dir, *settings, *arguments))


def processes_in(folder: Path) -> list[int]:
    """The processes whose working directory is in `folder`: a store runs in its data folder."""
    inside = folder.resolve()
    found = []
    for entry in Path("/proc").iterdir():
        # Processes of others cannot be read, and any may end while it is looked at.
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and Path(os.readlink(entry / "cwd")).is_relative_to(inside):
                found.append(int(entry.name))
    return found


@atexit.register
def _close_all() -> None:
    for gateway in list(_running):
        gateway.close()

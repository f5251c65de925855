"""Servers that a gateway left behind are taken over, and nobody else is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

from gateway.embedded import valkey as valkey_module
from gateway.embedded.processes import command_line, is_server, is_server_command, servers_on, signal_server
from gateway.embedded.valkey import EmbeddedValkey, EmbeddedValkeyError
from tests.gateway.embedded.conftest import client
from tests.support.reactor import reactor, run

PARENT = Path(__file__).with_name("left_behind.py")


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

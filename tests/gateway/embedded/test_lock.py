"""One gateway per data folder."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.embedded.lock import DataFolderError, DataFolderLock

ROOT = Path(__file__).parents[3]

HOLDER = """
import sys
from pathlib import Path
from gateway.embedded.lock import DataFolderLock
with DataFolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_makes_a_private_folder(tmp_path: Path) -> None:
    with DataFolderLock(tmp_path / "a" / "b"):
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
        assert (tmp_path / "a" / "b" / "lock").read_text() == f"{os.getpid()}\n"


def test_second_gateway_is_refused(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataFolderError) as raised:
            lock.acquire()
        assert str(raised.value) == (
            f"another gateway (process {holder.pid}) runs on the data folder {tmp_path}; "
            "stop it, or give another folder with --data-dir"
        )
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    lock.acquire()  # the kernel let it go
    lock.release()
    lock.release()


def test_holder_without_a_name(tmp_path: Path) -> None:
    first = DataFolderLock(tmp_path)
    first.acquire()
    (tmp_path / "lock").write_text("?")
    with pytest.raises(DataFolderError, match="another gateway runs on the data folder"):
        DataFolderLock(tmp_path).acquire()
    first.release()
    with DataFolderLock(tmp_path):
        pass


def test_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match=r"cannot be used: .*file.*--data-dir"):
        DataFolderLock(tmp_path / "file").acquire()


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(DataFolderError, match=r"cannot be locked: No locks available.*local disk"):
        DataFolderLock(tmp_path).acquire()

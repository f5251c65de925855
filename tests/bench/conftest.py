"""The programs of the comparisons, compiled."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.paths import HERE

NATIVE = HERE / "native"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `load`, `receiver` and `sendloop`."""
    folder = tmp_path_factory.mktemp("native")
    for name, parts in (
        ("load", ("load", "connections", "http", "samples", "websocket")),
        ("receiver", ("receiver", "http", "websocket")),
        ("sendloop", ("sendloop", "websocket")),
    ):
        sources = [NATIVE / f"{part}.c" for part in parts]
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
        subprocess.run(["cc", *flags, "-o", folder / name, *sources], check=True, timeout=120)
    return folder


@pytest.fixture(autouse=True)
def use_programs(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparisons use these instead of what `make bench` builds."""
    monkeypatch.setattr("bench.load.LOAD", programs / "load")
    monkeypatch.setattr("bench.receiver.RECEIVER", programs / "receiver")
    monkeypatch.setattr("bench.peers.broadcast.SENDLOOP", programs / "sendloop")

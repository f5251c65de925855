"""The tests' own way to run the program notices how it starts and how it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.gateway import launch_gateway, processes_in, start_gateway


def test_a_started_gateway_listens_and_stops_cleanly(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data") as gateway:
        assert gateway.url.startswith("ws://127.0.0.1:")
        assert gateway.http_url == "http://" + gateway.url.removeprefix("ws://").rstrip("/")
        pid = gateway.pid
        gateway.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert processes_in(tmp_path) == []


def test_nothing_of_a_killed_gateway_is_left_behind(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data") as gateway:
        gateway.kill()
    assert processes_in(tmp_path) == []


def test_a_gateway_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"no event 'listening'; the log:\n.+"):
        start_gateway(tmp_path / "data", "--no-such-option")
    gateway = launch_gateway(tmp_path / "data", "--no-such-option")
    assert gateway.wait() != 0
    gateway.close()


def test_processes_are_found_by_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes_in(tmp_path) == []
    monkeypatch.chdir(tmp_path)
    assert processes_in(tmp_path) == [os.getpid()]

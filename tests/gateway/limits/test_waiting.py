"""How requests that wait are counted."""

from __future__ import annotations

from pathlib import Path

from gateway.limits.waiting import WaitingRequests
from gateway.settings import Settings
from protocol.errors import TooManyRequests


def limited(tmp_path: Path, share: int = 1, **chosen: int) -> WaitingRequests:
    return WaitingRequests(Settings(data_dir=tmp_path, **{"max_waiting_requests": 0, **chosen}), share)  # type: ignore[arg-type]  # each of its own type


def enter(found: WaitingRequests, *projects: str) -> list[str]:
    """The limit that each new request meets, or nothing."""
    met = []
    for project in projects:
        try:
            found.enter(project)
            met.append("")
        except TooManyRequests as refused:
            met.append(refused.limit)
    return met


def test_without_limits_any_number_may_wait(tmp_path: Path) -> None:
    assert not any(enter(limited(tmp_path), *["a"] * 1000))


def test_as_many_as_may_wait(tmp_path: Path) -> None:
    found = limited(tmp_path, max_waiting_requests=2)
    assert enter(found, "a", "b", "c") == ["", "", "max_waiting_requests"]
    found.leave("a")
    assert enter(found, "c", "c") == ["", "max_waiting_requests"]


def test_a_project_takes_nothing_from_another(tmp_path: Path) -> None:
    found = limited(tmp_path, max_waiting_requests_per_project=1)
    assert enter(found, "a", "a", "b") == ["", "max_waiting_requests_per_project", ""]
    found.leave("a")
    assert enter(found, "a", "b") == ["", "max_waiting_requests_per_project"]


def test_processes_divide_each_limit_rounded_up(tmp_path: Path) -> None:
    found = limited(tmp_path, share=2, max_waiting_requests=5, max_waiting_requests_per_project=3)
    assert enter(found, *"aaabb") == ["", "", "max_waiting_requests_per_project", "", "max_waiting_requests"]

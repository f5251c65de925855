"""Rates: a socket's and a project's, and that neither costs another anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.limits import rates
from gateway.limits.rates import Rates
from gateway.settings import Settings
from protocol.errors import TooManyRequests
from schemas import limits


def limited(tmp_path: Path, share: int = 1, **chosen: float) -> Rates:
    return Rates(Settings(data_dir=tmp_path, **chosen), share)  # type: ignore[arg-type]  # each of its own type


def passed(found: Rates, project: str, now: float, tries: int = 100) -> int:
    """How many requests of a project pass at once."""
    return sum(found.refusal(None, project, now) is None for _ in range(tries))


def test_nothing_is_limited_by_default(tmp_path: Path) -> None:
    found = limited(tmp_path)
    assert not found.are_limited
    assert found.new_bucket() is None


def test_each_socket_has_a_bucket_of_its_own(tmp_path: Path) -> None:
    found = limited(tmp_path, max_requests_per_second=10, request_burst=0.5)
    assert found.are_limited
    one, other = found.new_bucket(), found.new_bucket()
    assert sum(found.refusal(one, "p", 1.0) is None for _ in range(100)) == 5
    assert sum(found.refusal(other, "p", 1.0) is None for _ in range(100)) == 5


def test_a_refusal_says_when_to_come_back(tmp_path: Path) -> None:
    found = limited(tmp_path, max_requests_per_second=3, request_burst=0.1)
    bucket = found.new_bucket()
    assert found.refusal(bucket, "p", 1.0) is None
    refusal = found.refusal(bucket, "p", 1.0)
    assert isinstance(refusal, TooManyRequests)
    assert refusal.body() == {
        "exception": "This socket sends requests too fast. Send it again in 0.334 s.",
        "error": None,
        "code": "too_many_requests",
        "retry_after": 0.334,
    }
    assert refusal.limit == "max_requests_per_second"
    assert found.refusal(bucket, "p", 1.0 + refusal.retry_after) is None


def test_what_is_too_long_for_a_project_is_not_kept(tmp_path: Path) -> None:
    found = limited(tmp_path, max_project_requests_per_second=10, request_burst=2)
    longest = "p" * limits.PROJECT_CHARACTERS
    assert passed(found, longest, 1.0) == 20
    assert passed(found, longest + "p" * 1_000_000, 1.0) == 0


def test_projects_do_not_cost_each_other(tmp_path: Path) -> None:
    found = limited(tmp_path, max_project_requests_per_second=10, request_burst=2)
    assert passed(found, "a", 1.0) == 20
    assert passed(found, "b", 1.0) == 20
    assert passed(found, "a", 2.0) == 10
    refusal = found.refusal(None, "a", 2.0)
    assert refusal is not None
    assert refusal.limit == "max_project_requests_per_second"


def test_what_a_socket_may_not_send_costs_its_project_nothing(tmp_path: Path) -> None:
    found = limited(tmp_path, max_requests_per_second=1, max_project_requests_per_second=10, request_burst=1)
    bucket = found.new_bucket()
    assert sum(found.refusal(bucket, "p", 1.0) is None for _ in range(100)) == 1
    assert passed(found, "p", 1.0) == 9


def test_a_request_of_no_project_counts_for_its_socket_alone(tmp_path: Path) -> None:
    found = limited(tmp_path, max_project_requests_per_second=1, request_burst=1)
    assert all(found.refusal(None, None, 1.0) is None for _ in range(10))


def test_processes_divide_the_rate_of_a_project(tmp_path: Path) -> None:
    found = limited(tmp_path, share=4, max_project_requests_per_second=100, request_burst=2)
    assert passed(found, "p", 1.0) == 50
    assert passed(found, "p", 2.0) == 25


def test_the_project_that_was_quiet_for_longest_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MAX_PROJECTS", 2)
    found = limited(tmp_path, max_project_requests_per_second=1, request_burst=1)
    assert [passed(found, name, 1.0) for name in ("a", "b", "a", "c")] == [1, 1, 0, 1]
    assert passed(found, "a", 1.0) == 0
    assert passed(found, "b", 1.0) == 1

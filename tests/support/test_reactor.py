"""The helper that runs Twisted code in tests."""

from __future__ import annotations

import itertools
import time

import pytest
from twisted.internet.defer import Deferred, succeed

from tests.support.reactor import eventually, run, sleep, wait_until


def test_results() -> None:
    async def add(left: int, right: int = 1) -> int:
        await sleep(0)
        return left + right

    assert run(add, 1, right=2) == 3
    assert run(lambda: succeed("deferred")) == "deferred"
    assert run(lambda: "value") == "value"


def test_errors() -> None:
    async def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(fail)


def test_timeout_cancels() -> None:
    ended = []

    async def wait() -> None:
        try:
            await Deferred()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        run(wait, timeout=0.05)
    assert ended


def test_a_blocked_reactor_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.reactor._GRACE", 0.1)
    with pytest.raises(AssertionError, match=r"time\.sleep\(1\)"):
        run(lambda: time.sleep(1), timeout=0.1)


def test_run_within_the_reactor() -> None:
    with pytest.raises(AssertionError, match="reactor's own thread"):
        run(lambda: run(sleep, 0))


def test_waiting() -> None:
    count = itertools.count()
    run(eventually, lambda: next(count) > 2)
    run(eventually, lambda: succeed(True))
    with pytest.raises(AssertionError, match="the reason"):
        run(eventually, lambda: False, 0.02, "the reason")
    wait_until(lambda: next(count) > 5)
    with pytest.raises(AssertionError, match=r"not true within 0\.02 seconds"):
        wait_until(lambda: False, 0.02)

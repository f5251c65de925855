"""What is taken out of the search for garbage, and when."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway.garbage import TURNOVER, Burst, settle


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave Python's search as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_is_there_after_the_start_stays() -> None:
    settle()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 1_000


def test_sockets_that_come_and_go_are_taken_out_in_portions() -> None:
    settle()
    before = gc.get_freeze_count()
    burst = Burst()
    sockets = []
    for number in range(1, TURNOVER + 1):
        assert gc.get_freeze_count() <= before
        sockets.append([number])
        burst.count()
    assert gc.get_freeze_count() >= before + TURNOVER - 1  # but for what has been freed meanwhile

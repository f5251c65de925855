"""The fuzz targets for a moment; for longer: `python -m tests.hostile.fuzz --minutes 10`."""

from __future__ import annotations

import pytest

from tests.hostile.fuzz import Target, fuzz, targets

TARGETS = targets()
INPUTS = 1_500


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name: str) -> None:
    assert fuzz(TARGETS[name], 2026, lambda count: count >= INPUTS) == INPUTS


def test_what_breaks_is_found() -> None:
    def feed(data: bytes) -> None:
        assert b"\xff" not in data

    with pytest.raises(AssertionError, match=r"seed 1, input \d+: b'"):
        fuzz(Target([b"harmless"], feed), 1, lambda count: count >= INPUTS)

"""What each process of a node has of its limits."""

from __future__ import annotations

import pytest

from gateway.limits.share import part_of


@pytest.mark.parametrize(
    ("limit", "share", "part"), [(10, 1, 10), (10, 3, 4), (9, 3, 3), (1, 8, 1), (0, 4, 0)]
)
def test_nobody_gets_nothing_of_a_limit(limit: int, share: int, part: int) -> None:
    assert part_of(limit, share) == part

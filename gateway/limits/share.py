"""How a node's limits are divided among its processes."""

from __future__ import annotations


def part_of(limit: int, share: int) -> int:
    """What of a limit each of `share` processes has, rounded up. 0, which is no limit, stays 0."""
    return -(-limit // share)

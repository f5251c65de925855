"""Hash slots, as the Redis Cluster specification counts them."""

from __future__ import annotations

import pytest

from storage.redis.slots import SLOTS, key_slot


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3 % SLOTS),  # the specification's reference value
        (b"foo", 12182),
        (b"{foo}bar", 12182),
        (b"x{foo}{zap}", 12182),
        (b"zg:{0123456789abcdef}:head", key_slot(b"0123456789abcdef")),
    ],
)
def test_slots(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


def test_empty_braces_are_no_tag() -> None:
    assert key_slot(b"{}foo") != key_slot(b"foo")
    assert key_slot(b"foo{}{bar}") != key_slot(b"bar")

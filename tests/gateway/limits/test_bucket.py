"""A token bucket against its definition: never more than `burst` at once and `rate` per second after that."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.bucket import TokenBucket

times = st.lists(st.integers(0, 64).map(lambda n: n / 64), max_size=60)
"""Seconds between two takes, such that sums of them are exact."""


def test_it_begins_full_and_fills_with_time() -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(10.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(10.0) == 0.5
    assert bucket.take(10.25) == 0.25
    assert bucket.take(10.5) == 0
    assert bucket.take(10.5) == 0.5
    assert [bucket.take(60.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.take(0.0) == 0
    for _ in range(100):
        assert bucket.take(0.0) == 1
    assert bucket.take(1.0) == 0


def test_one_that_holds_less_than_a_token_gives_one_at_a_time() -> None:
    bucket = TokenBucket(rate=1, burst=0.1)
    assert bucket.take(5.0) == 0
    assert bucket.take(5.5) == pytest.approx(0.5)
    assert bucket.take(6.0) == 0


@given(st.sampled_from([1, 2, 4, 16]), st.integers(1, 8), times)
def test_it_does_as_tokens_that_are_counted(rate: int, burst: int, pauses: list[float]) -> None:
    bucket, tokens, now = TokenBucket(rate, burst), Fraction(burst), 1000.0
    for pause in pauses:
        now += pause
        tokens = min(Fraction(burst), tokens + Fraction(pause) * rate)
        wait = bucket.take(now)
        if tokens >= 1:
            assert wait == 0
            tokens -= 1
        else:
            assert Fraction(wait) == (1 - tokens) / rate

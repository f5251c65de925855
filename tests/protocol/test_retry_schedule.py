"""Retry schedules: examples computed by hand from protocol.md section 6, and what holds for all of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.retry_policy import BACKOFF_FUNCTIONS, check_retry_policy
from protocol.retry_schedule import RetrySchedule, schedule
from schemas import limits

FEW = {"retries_with_no_delay": 1, "minimum_delay_retries": 1, "maximum_delay_retries": 1}


def delays(of: RetrySchedule, most: int = 100) -> list[int]:
    """The delays before all tries but the first."""
    found = []
    for attempt in range(2, most):
        delay = of.delay_before(attempt)
        if delay is None:
            break
        found.append(delay)
    return found


def test_the_defaults() -> None:
    assert delays(schedule(None, None)) == [0, 0, 0, 5, 5, 5, 5, 10, 15, 20, 25, 30, 30, 30]


@pytest.mark.parametrize(
    ("policy", "growing"),
    [
        ({"retry_backoff_function": "linear"}, [5, 10, 15, 20, 25]),
        # x = 25 // 5 = 5, d = 2 * 25 / 20 = 2.5: 5 + 0, 2.5, 7.5, 15, 25.
        ({"retry_backoff_function": "arithmetic"}, [5, 7, 12, 20, 30]),
        # k = 6 ** (1 / 4) = 1.565: 5, 7.83, 12.25, 19.17, 30.
        ({"retry_backoff_function": "geometric"}, [5, 7, 12, 19, 30]),
        ({"retry_backoff_function": "exponential"}, [5, 7, 12, 19, 30]),
        ({"minimum_delay": 1, "maximum_delay": 13}, [1, 6, 11]),
        # x = 12 // 5 = 2, d = 2 * 12 / 2 = 12.
        ({"minimum_delay": 1, "maximum_delay": 13, "retry_backoff_function": "arithmetic"}, [1, 13]),
        ({"minimum_delay": 1, "maximum_delay": 16, "retry_backoff_function": "geometric"}, [1, 4, 16]),
        # Nothing grows from zero: it begins at a second.
        ({"minimum_delay": 0, "maximum_delay": 16, "retry_backoff_function": "exponential"}, [1, 4, 16]),
        ({"minimum_delay": 0, "maximum_delay": 10}, [0, 5]),
    ],
    ids=str,
)
def test_how_delays_grow(policy: dict[str, Any], growing: list[int]) -> None:
    found = delays(schedule(None, {**FEW, **policy}))
    least, most = policy.get("minimum_delay", 5), policy.get("maximum_delay", 30)
    assert found == [0, least, *growing, most]


def test_the_first_try_waits_for_nothing() -> None:
    assert schedule(None, {"retries_with_no_delay": 0}).delay_before(1) == 0


@pytest.mark.parametrize(
    ("of_queue", "of_subscription", "immediate"),
    [
        (None, None, 3),
        ({"retries_with_no_delay": 1}, None, 1),
        ({"retries_with_no_delay": 1}, {}, 1),
        ({"retries_with_no_delay": 1}, {"retries_with_no_delay": 2}, 2),
        ({"retries_with_no_delay": 1}, {"minimum_delay": 6}, 3),
        ({"retries_with_no_delay": 1, "ignore_subscription_override": True}, {"retries_with_no_delay": 2}, 1),
        ({"retries_with_no_delay": 1}, {"retries_with_no_delay": 2, "ignore_subscription_override": True}, 1),
        (None, {"retries_with_no_delay": 2, "ignore_subscription_override": True}, 3),
        ({"retries_with_no_delay": None}, {"retries_with_no_delay": None}, 3),
    ],
)
def test_whose_policy_holds(of_queue: Any, of_subscription: Any, immediate: int) -> None:
    assert schedule(of_queue, of_subscription).retries_with_no_delay == immediate


COUNTS = st.one_of(st.integers(0, 50), st.integers(0, limits.SAFE_INTEGER))


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    least = draw(st.one_of(st.integers(0, 100), st.integers(0, limits.SAFE_INTEGER - 10)))
    most = draw(
        st.one_of(st.integers(least + 10, least + 1000), st.integers(least + 10, limits.SAFE_INTEGER))
    )
    return {
        "retries_with_no_delay": draw(COUNTS),
        "minimum_delay_retries": draw(COUNTS),
        "minimum_delay": least,
        "maximum_delay": min(most, limits.SAFE_INTEGER),
        "maximum_delay_retries": draw(COUNTS),
        "retry_backoff_function": draw(st.sampled_from(BACKOFF_FUNCTIONS)),
    }


@given(policy=policies(), attempts=st.lists(st.integers(1, 2**60), min_size=2))
def test_delays_stay_in_their_bounds_and_never_shrink(policy: dict[str, Any], attempts: list[int]) -> None:
    check_retry_policy("_retry_policy", policy)
    of = schedule(None, policy)
    known = [of.delay_before(attempt) for attempt in sorted(attempts)]
    given_up = known.index(None) if None in known else len(known)
    assert all(delay is None for delay in known[given_up:])
    found = [delay for delay in known[:given_up] if delay is not None]
    assert found == sorted(found)
    assert all(delay == 0 or policy["minimum_delay"] <= delay <= policy["maximum_delay"] for delay in found)


@given(policy=policies())
def test_the_last_try_is_known(policy: dict[str, Any]) -> None:
    of = schedule(None, policy)
    span = policy["maximum_delay"] - policy["minimum_delay"]
    growing = -(-span // 5) if policy["retry_backoff_function"] == "linear" else span // 5
    counts = policy["retries_with_no_delay"], policy["minimum_delay_retries"], policy["maximum_delay_retries"]
    tries = 1 + sum(counts) + growing
    assert of.delay_before(tries) is not None
    assert of.delay_before(tries + 1) is None

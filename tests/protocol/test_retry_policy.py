"""Retry policies."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import BadRequest
from protocol.retry_policy import check_retry_policy


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {
            "retries_with_no_delay": 1,
            "minimum_delay_retries": 2,
            "minimum_delay": 5,
            "maximum_delay": 30,
            "maximum_delay_retries": 3,
            "retry_backoff_function": "linear",
            "ignore_subscription_override": True,
        },
        {"minimum_delay": 5, "maximum_delay": 15},
        {"minimum_delay": 20},
        {"retry_backoff_function": "geometric"},
        {"retries_with_no_delay": 0, "minimum_delay": None},
        {"unknown_key": 1},
    ],
)
def test_legal_policies(policy: dict[str, Any]) -> None:
    check_retry_policy("_retry_policy", policy)


@pytest.mark.parametrize(
    "policy",
    [
        "str",
        [],
        [1],
        5,
        {"retries_with_no_delay": "3"},
        {"retries_with_no_delay": -1},
        {"retries_with_no_delay": True},
        {"minimum_delay": 10, "maximum_delay": 5},
        {"minimum_delay": 5, "maximum_delay": 14},
        {"minimum_delay": 25},
        {"minimum_delay": "a"},
        {"maximum_delay": 30.0},
        {"retry_backoff_function": "bogus"},
        {"retry_backoff_function": 5},
        {"retry_backoff_function": []},
        {"ignore_subscription_override": "x"},
        {"ignore_subscription_override": 1},
    ],
    ids=str,
)
def test_deviation_29_illegal_policies(policy: Any) -> None:
    with pytest.raises(BadRequest, match="_retry_policy"):
        check_retry_policy("_retry_policy", policy)

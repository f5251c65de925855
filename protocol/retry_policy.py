"""Retry policies of queues and subscriptions (protocol.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from protocol.errors import BadRequest
from schemas import limits

BACKOFF_FUNCTIONS: Final = ("linear", "arithmetic", "geometric", "exponential")

DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "retries_with_no_delay": limits.RETRY_COUNT_DEFAULT,
        "minimum_delay_retries": limits.RETRY_COUNT_DEFAULT,
        "minimum_delay": limits.RETRY_MINIMUM_DELAY_DEFAULT,
        "maximum_delay": limits.RETRY_MAXIMUM_DELAY_DEFAULT,
        "maximum_delay_retries": limits.RETRY_COUNT_DEFAULT,
        "retry_backoff_function": "linear",
        "ignore_subscription_override": False,
    }
)
"""Counts, delays in seconds, and how the delay grows from the minimum to the maximum."""

_INTEGERS: Final = tuple(key for key, value in DEFAULTS.items() if type(value) is int)


def check_retry_policy(key: str, policy: Any) -> None:
    """Raise BadRequest if `policy`, found under `key`, is not a retry policy. Null fields count as absent."""
    if not isinstance(policy, dict):
        raise BadRequest(f"{key} must be an object")
    given = {name: value for name, value in policy.items() if value is not None}
    for name in _INTEGERS:
        value = given.get(name, 0)
        if type(value) is not int or not 0 <= value <= limits.SAFE_INTEGER:
            raise BadRequest(f"{key}.{name} must be an integer of at least 0")
    if given.get("retry_backoff_function", "linear") not in BACKOFF_FUNCTIONS:
        raise BadRequest(f"{key}.retry_backoff_function must be one of {', '.join(BACKOFF_FUNCTIONS)}")
    if not isinstance(given.get("ignore_subscription_override", False), bool):
        raise BadRequest(f"{key}.ignore_subscription_override must be true or false")
    complete = {**DEFAULTS, **given}
    if complete["maximum_delay"] - complete["minimum_delay"] < limits.RETRY_DELAY_SPAN_MIN:
        raise BadRequest(
            f"{key}: invalid minimum_delay and maximum_delay. "
            f"The maximum must exceed the minimum by at least {limits.RETRY_DELAY_SPAN_MIN} s"
        )

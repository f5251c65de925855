"""When what could not be delivered is tried again, and when it is given up (protocol.md section 6).

Counts may be as large as any integer of JSON, so the delay before a try is computed from its number alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from protocol.retry_policy import DEFAULTS

STEP: Final = 5
"""Seconds: the delay grows from its minimum to its maximum in as many steps as these fit in between."""


class RetrySchedule(NamedTuple):
    """A checked retry policy in which every field has a value. Delays in seconds."""

    retries_with_no_delay: int
    minimum_delay_retries: int
    minimum_delay: int
    maximum_delay: int
    maximum_delay_retries: int
    function: str
    """One of BACKOFF_FUNCTIONS of protocol.retry_policy."""

    def delay_before(self, attempt: int) -> int | None:
        """Seconds to wait before a try; None: all tries are made, it is given up.

        :param attempt: the number of the try. The first is 1 and waits for nothing.
        """
        number = attempt - 1  # of the retry
        if number <= self.retries_with_no_delay:
            return 0
        number -= self.retries_with_no_delay
        if number <= self.minimum_delay_retries:
            return self.minimum_delay
        number -= self.minimum_delay_retries
        if number <= self._steps:
            return self._growing(number)
        number -= self._steps
        return self.maximum_delay if number <= self.maximum_delay_retries else None

    @property
    def _span(self) -> int:
        return self.maximum_delay - self.minimum_delay

    @property
    def _steps(self) -> int:
        """How many tries there are while the delay grows: two at least, by what is checked of a policy."""
        # The linear one stops below the maximum, the others reach it with the last of their whole steps.
        return -(-self._span // STEP) if self.function == "linear" else self._span // STEP

    def _growing(self, number: int) -> int:
        """The delay before the try of this number, from 1, while the delay grows."""
        if self.function == "linear":
            return self.minimum_delay + (number - 1) * STEP
        last = self._steps
        if self.function == "arithmetic":
            return self.minimum_delay + (number - 1) * number * self._span // (last * (last - 1))
        # Geometric and exponential are two spellings of one series. It would never leave zero.
        first = max(self.minimum_delay, 1)
        ratio = self.maximum_delay / first
        return min(int(first * ratio ** ((number - 1) / (last - 1))), self.maximum_delay)


def schedule(of_queue: Any, of_subscription: Any) -> RetrySchedule:
    """What a queue's and a subscription's `_retry_policy` say together; each is a checked one, or None.

    The subscription's holds as a whole where it says anything, unless either says
    `ignore_subscription_override`.
    """
    queue, subscription = _given(of_queue), _given(of_subscription)
    ignored = any(policy.get("ignore_subscription_override") for policy in (queue, subscription))
    policy = {**DEFAULTS, **(queue if ignored or not subscription else subscription)}
    return RetrySchedule(
        retries_with_no_delay=policy["retries_with_no_delay"],
        minimum_delay_retries=policy["minimum_delay_retries"],
        minimum_delay=policy["minimum_delay"],
        maximum_delay=policy["maximum_delay"],
        maximum_delay_retries=policy["maximum_delay_retries"],
        function=policy["retry_backoff_function"],
    )


def _given(policy: Any) -> Mapping[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in (policy or {}).items() if value is not None}

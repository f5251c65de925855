"""Subscribing webhooks in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.client import Client
from tests.support.expect import done
from tests.support.receiver import Answer, Received

AT_ONCE = {
    "retries_with_no_delay": 1000,
    "minimum_delay_retries": 0,
    "minimum_delay": 0,
    "maximum_delay": 10,
    "maximum_delay_retries": 0,
}
"""A retry policy whose tries follow at once upon each other, until the breaker opens."""

NEVER = {**AT_ONCE, "retries_with_no_delay": 0}
"""One that tries twice more: at once, and after 5 seconds."""


def subscribe(
    client: Client, queue: str, url: str, policy: dict[str, Any] | None = None, **options: Any
) -> str:
    """Subscribe a webhook; its id."""
    if policy is not None:
        options["_retry_policy"] = policy
    asked = {"queue_name": queue, "subscriber": url, "options": options}
    created: str = done(client.request("subscription_create", asked), 201)["subscription_id"]
    return created


def without_repeats(bodies: list[Any]) -> list[Any]:
    """What came, but for a body that came again right behind itself: at least once, in order."""
    return [body for number, body in enumerate(bodies) if number == 0 or bodies[number - 1] != body]


def failing(times: int, answer: Answer = 503) -> Callable[[Received], Answer]:
    """Answer so to the first requests, then with 204."""
    return lambda received: answer if received.number <= times else 204

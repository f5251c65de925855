"""Event streams of one queue, and what is posted to it."""

from __future__ import annotations

from typing import Any

from tests.support.event_source import EventSource
from tests.support.gateway import Gateway
from tests.support.rest import Rest

EVENTS, MESSAGES = "/v2/queues/q/events", "/v2/queues/q/messages"


def post(rest: Rest, *bodies: Any, **fields: Any) -> None:
    rest.done("POST", MESSAGES, {"messages": [{"body": body, **fields} for body in bodies]})


def listen(gateway: Gateway, rest: Rest, **parameters: str) -> EventSource:
    return EventSource(gateway.http_url, EVENTS, {"project": str(rest.project), **parameters})


def subscriptions(rest: Rest) -> list[Any]:
    found: list[Any] = rest.done("GET", "/v2/queues/q/subscriptions")["subscriptions"]
    return found

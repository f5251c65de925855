"""What must hold after every hostile test: no fault in the log, and others are served as ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway


@pytest.fixture(autouse=True)
def innocent(gateway: Gateway) -> Iterator[Client]:
    """A well-behaved client, connected all the while; its requests work before and after."""
    seen = len(gateway.events)
    with Client(gateway.url) as client:
        done(client.request("queue_create", {"queue_name": "innocent"}), 201)
        yield client
        done(client.request("message_post", {"queue_name": "innocent", "messages": [{"body": 1}]}), 201)
        done(client.request("ping_node"), 204)
    faults = [event for event in gateway.events[seen:] if is_fault(event)]
    assert not faults, faults[0]


def is_fault(event: dict[str, object]) -> bool:
    """Whether a log line tells of a fault of the gateway, rather than of a client."""
    return event["level"] not in ("debug", "info", "warning") or bool({"traceback", "failure"} & event.keys())

"""Event streams when something breaks: every message comes once and in order, and memory stays bounded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from storage.catalog.engine import sqlite_url
from tests.faults.nodes import shared
from tests.support.chaos_proxy import Fault
from tests.support.chaos_thread import chaos_thread
from tests.support.event_source import EventSource
from tests.support.gateway import Gateway, start_gateway
from tests.support.memory import Peak
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.servers import Server, start_valkey

EVENTS, MESSAGES = "/v2/queues/q/events", "/v2/queues/q/messages"

GROWTH = 30_000_000
"""Bytes that the gateway may grow by for a stream that is not read."""


def post(rest: Rest, *bodies: Any) -> None:
    rest.done("POST", MESSAGES, {"messages": [{"body": body} for body in bodies]})


def listen(url: str, rest: Rest, **parameters: str) -> EventSource:
    return EventSource(url, EVENTS, {"project": str(rest.project), **parameters})


def follow(events: EventSource, count: int) -> list[Any]:
    """The bodies of so many messages, over as many connections as it takes."""
    found: list[Any] = []
    while len(found) < count:
        try:
            found += events.bodies(1)
        except (EOFError, OSError):
            again(events)
    return found


def again(events: EventSource) -> None:
    """Connect again, as a browser does until it has a stream."""

    def connected() -> bool:
        try:
            events.reopen()
        except (EOFError, OSError):
            return False
        return events.status == 200

    wait_until(connected)


def test_connections_that_break(gateway: Gateway) -> None:
    faults: list[Fault] = ["cut", "close", "stall", "cut", "close", "cut"]
    count = 40
    with (
        Rest(gateway.http_url) as rest,
        chaos_thread(gateway.http_url) as proxy,
    ):
        rest.done("PUT", "/v2/queues/q")
        with listen(proxy.url, rest) as events:
            for i, fault in enumerate(faults):
                first = threading.Thread(target=post, args=(rest, *range(i * count, i * count + count)))
                first.start()
                proxy.strike(fault)
                first.join()
                assert follow(events, count) == list(range(i * count, i * count + count))


def test_a_node_that_is_killed(tmp_path: Path, store: Server) -> None:
    options = (*shared(store, sqlite_url(tmp_path / "catalog.sqlite")), "--heartbeat-interval", "1")
    with (
        start_gateway(tmp_path / "one", *options) as one,
        start_gateway(tmp_path / "two", *options) as two,
        Rest(two.http_url) as rest,
    ):
        rest.done("PUT", "/v2/queues/q")
        with listen(one.http_url, rest) as events:
            post(rest, 1, 2)
            assert events.bodies(1) == [1]
            stood = events.parser.last_id
            one.kill()
            post(rest, 3)
        with listen(two.http_url, rest, **{"from": stood}) as events:
            assert events.bodies(2) == [2, 3]
            # What the dead node has left is swept; its own subscription stays.
            subscriptions = "/v2/queues/q/subscriptions"
            wait_until(lambda: len(rest.done("GET", subscriptions)["subscriptions"]) == 1)
            post(rest, 4)
            assert events.bodies(1) == [4]


def test_a_store_that_is_started_again(tmp_path: Path) -> None:
    with (
        start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always") as store,
        start_gateway(tmp_path / "data", "--redis-url", store.url) as gateway,
        Rest(gateway.http_url) as rest,
    ):
        rest.done("PUT", "/v2/queues/q")
        with listen(gateway.http_url, rest) as events:
            post(rest, 1)
            assert events.bodies(1) == [1]
            store.kill()
            store.start()
            wait_until(
                lambda: rest.ask("POST", MESSAGES, {"messages": [{"body": 2}]}).status == 201, timeout=30
            )
            # The stream is still the same, and begins where it stood.
            assert events.bodies(1) == [2]


def read(events: EventSource, count: int) -> tuple[list[Any], set[str]]:
    """The bodies of so many messages, and the names of what comes between them."""
    found: list[Any] = []
    notices = set()
    while len(found) < count:
        event = events.next()
        if event.name == "message":
            found.append(event.data["body"])
        else:
            notices.add(event.name)
    return found, notices


def test_a_reader_that_does_not_read(tmp_path: Path) -> None:
    count, pad = 20_000, "x" * 1000
    with (
        start_gateway(tmp_path / "data", "--fsync", "everysec") as gateway,
        Rest(gateway.http_url) as rest,
    ):
        rest.done("PUT", "/v2/queues/q")
        with listen(gateway.http_url, rest) as other, listen(gateway.http_url, rest) as slow:
            # What any traffic makes the gateway take, it takes now.
            post(rest, *range(100))
            assert other.bodies(100) == list(range(100))
            peak = Peak(gateway.pid)
            for first in range(0, count, 200):
                post(rest, *[{"n": n, "pad": pad} for n in range(first, first + 200)])
                found, _ = read(other, 200)
                assert [body["n"] for body in found] == list(range(first, first + 200))
            assert peak.growth() < GROWTH
            found, notices = read(slow, 100 + count)
            assert [body["n"] for body in found[100:]] == list(range(count))
            assert notices >= {"behind"}
            assert peak.growth() < GROWTH
            # It has caught up: what comes now is the next that it hears, behind the notice of that.
            post(rest, "last")
            found, more = read(slow, 1)
            assert found == ["last"]
            assert notices | more == {"behind", "caught_up"}

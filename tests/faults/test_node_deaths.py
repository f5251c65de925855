"""A process that dies leaves no subscription behind; one that only stalls loses none."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.engine import sqlite_url
from tests.faults.nodes import shared
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, starting
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_valkey
from tests.support.workers import pids, worker_of

INTERVAL = 1.0
"""Seconds between two signs of life. After six at the most a death is swept; by default, within a minute."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    with start_valkey(tmp_path / "store") as server:
        yield server


@pytest.fixture
def start(store: Server, tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway on the same store and the same catalog as the others."""
    settings = (
        *shared(store, sqlite_url(tmp_path / "catalog.sqlite")),
        "--heartbeat-interval",
        str(INTERVAL),
    )
    with starting(tmp_path / "data", *settings) as start:
        yield start


def subscriptions(client: Client, queue: str = "news") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(
        client.request("subscription_list", {"queue_name": queue, "limit": 20}), 200
    )["subscriptions"]
    return found


def keys(store: Server) -> set[str]:
    """The keys that tell of processes, but for what was swept, which they may ask for until it expires."""
    found = {key.decode() for key in store.client().scan_iter("zg:*node*")}
    return {key for key in found if not key.endswith(":swept")}


def test_what_a_killed_gateway_leaves_is_swept(start: Callable[..., Gateway], store: Server) -> None:
    dying, other = start(), start()
    with Client(other.url, project="p") as watcher:
        webhook = {"queue_name": "news", "subscriber": "http://example.test/hook"}
        done(watcher.request("subscription_create", webhook), 201)
        done(watcher.request("subscription_create", {"queue_name": "news"}), 201)
        with ExitStack() as stack:
            for _ in range(5):
                client = stack.enter_context(Client(dying.url, project="p"))
                done(client.request("subscription_create", {"queue_name": "news"}), 201)
                done(client.request("subscription_create", webhook), 409)
            assert len(subscriptions(watcher)) == 7
            dying.kill()
        wait_until(lambda: len(subscriptions(watcher)) == 2, interval=0.1)
        swept = other.wait_event("dead_node_swept")
        assert swept["subscriptions"] == 5
        # The other one's own, and those that are nobody's socket, are untouched.
        assert {each["subscriber"] for each in subscriptions(watcher)} >= {"http://example.test/hook"}
        post(watcher, "news", "still")
        assert watcher.wait_notifications(1)[0]["body"] == "still"
    other.stop()
    assert keys(store) == set()


def test_two_that_sweep_at_once_do_no_harm(start: Callable[..., Gateway], store: Server) -> None:
    dying, *others = start(), start(), start()
    with ExitStack() as stack:
        watchers = [stack.enter_context(Client(other.url, project="p")) for other in others]
        for watcher in watchers:
            done(watcher.request("subscription_create", {"queue_name": "news"}), 201)
        for _ in range(10):
            client = stack.enter_context(Client(dying.url, project="p"))
            done(client.request("subscription_create", {"queue_name": "news"}), 201)
        dying.kill()
        wait_until(lambda: len(subscriptions(watchers[0])) == 2, interval=0.1)
        post(watchers[0], "news", "one")
        for watcher in watchers:
            assert watcher.wait_notifications(1)[0]["body"] == "one"
        for other in others:
            other.stop()
        for other in others:
            assert not [event for event in other.events if event["level"] == "error"]
    assert keys(store) == set()


def test_what_a_killed_worker_leaves_is_swept_by_its_siblings(start: Callable[..., Gateway]) -> None:
    gateway = start("--workers", "2")
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(gateway.url, project="p")) for _ in range(20)]
        by_worker: dict[int, list[Client]] = {1: [], 2: []}
        for client in clients:
            by_worker[worker_of(gateway, client)].append(client)
            done(client.request("subscription_create", {"queue_name": "news"}), 201)
        watcher = by_worker[2][0]
        os.kill(pids(gateway)[1], signal.SIGKILL)
        left = len(by_worker[2])
        wait_until(lambda: len(subscriptions(watcher)) == left, interval=0.1)
        gateway.stop()


def test_a_gateway_that_stalled_makes_its_subscriptions_anew(start: Callable[..., Gateway]) -> None:
    stalled, other = start(), start()
    with (
        Client(stalled.url, project="p") as listener,
        Client(stalled.url, project="p") as faithless,
        Client(other.url, project="p") as poster,
    ):
        made = done(listener.request("subscription_create", {"queue_name": "news", "ttl": 600}), 201)
        gone = done(faithless.request("subscription_create", {"queue_name": "news"}), 201)
        changed = {"queue_name": "news", "subscription_id": made["subscription_id"], "ttl": 900}
        done(listener.request("subscription_update", {**changed, "options": {"colour": "red"}}), 204)
        before = {each["subscriber"] for each in subscriptions(poster)}
        post(poster, "news", 1)
        assert listener.wait_notifications(1)[0]["body"] == 1
        os.kill(stalled.pid, signal.SIGSTOP)
        try:
            # Ended by a client while the gateway stands still: that one stays ended.
            ended = {"queue_name": "news", "subscription_id": gone["subscription_id"]}
            done(poster.request("subscription_delete", ended), 204)
            assert len(subscriptions(poster)) == 1
            wait_until(lambda: subscriptions(poster) == [], interval=0.1)
            post(poster, "news", 2, 3)
        finally:
            os.kill(stalled.pid, signal.SIGCONT)
        wait_until(lambda: subscriptions(poster), interval=0.1)
        (renewed,) = subscriptions(poster)
        assert renewed["subscriber"] in before
        assert renewed["id"] != made["subscription_id"]
        assert (renewed["ttl"], renewed["options"]) == (900, {"colour": "red"}), "as it was last"
        post(poster, "news", 4)
        # Nothing is missing, nothing comes twice.
        assert [each["body"] for each in listener.wait_notifications(4)] == [1, 2, 3, 4]
        listener.close()
        wait_until(lambda: subscriptions(poster) == [], interval=0.1)
        done(faithless.request("queue_list", {}), 200)
        assert [each["body"] for each in faithless.notifications] == [1]
    assert stalled.wait_event("subscription_renewed")


def test_a_store_that_was_away_for_long_costs_no_subscription(
    start: Callable[..., Gateway], store: Server
) -> None:
    gateways = [start(), start()]
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(gateway.url, project="p")) for gateway in gateways]
        for client in clients:
            done(client.request("subscription_create", {"queue_name": "news"}), 201)
        made = subscriptions(clients[0])
        with store.client() as admin:
            admin.client_pause(int(5 * INTERVAL * 1000), all=True)
        # All signs of life have ended meanwhile, and each process hears of the other's first.
        for gateway in gateways:
            gateway.wait_event("liveness_lapsed", 30)
        post(clients[0], "news", "after")
        for client in clients:
            assert client.wait_notifications(1)[0]["body"] == "after"
        assert [each["id"] for each in subscriptions(clients[0])] == [each["id"] for each in made]
        for gateway in gateways:
            assert not [event for event in gateway.events if event["event"] == "dead_node_swept"]

"""Webhooks while gateways, stores and receivers die: every message is delivered, none lost, in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery.courier import PAGE
from gateway.delivery.share import LEASE
from storage.catalog.engine import sqlite_url
from tests.faults.nodes import shared
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import ROOT, Gateway, starting
from tests.support.reactor import wait_until
from tests.support.receiver import Received, Receiver, receiving, silent
from tests.support.servers import Server, free_port, start_valkey
from tests.support.webhooks import AT_ONCE, subscribe

PATIENT = {**AT_ONCE, "minimum_delay_retries": 1000, "minimum_delay": 1, "maximum_delay": 11}
"""A retry policy that bears a receiver which is down for a while."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    with start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def start(store: Server, tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway on the same store and the same catalog as the others."""
    settings = (
        *shared(store, sqlite_url(tmp_path / "catalog.sqlite")),
        "--webhook-allowed-networks",
        "127.0.0.0/8",
    )
    with starting(tmp_path / "data", *settings) as start:
        yield start


@contextmanager
def posting(url: str, queue: str, count: int, at_once: int = 5) -> Iterator[None]:
    """Posts the numbers from 0, in the background, so many in each post. At the end all are posted."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Client(url, project="p") as client:
                for first in range(0, count, at_once):
                    post(client, queue, *range(first, min(first + at_once, count)))
        # Whatever it is, the test fails with it.
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(120)
    assert not thread.is_alive()
    assert not failures, failures


def wait_for_all(receiver: Receiver, count: int, path: str | None = None, timeout: float = 60) -> None:
    """Wait until the last number has come; all must have, in order.

    Who did not hear that some were noted sends them again, from the first of them: a page, at the most.
    """
    wait_until(lambda: count - 1 in receiver.bodies(path), timeout=timeout)
    came = receiver.bodies(path)
    assert sorted(set(came)) == list(range(count))
    assert came[0] == 0
    steps = [(before, after) for before, after in pairwise(came) if not before - PAGE <= after <= before + 1]
    assert not steps


def owner_of(gateways: list[Gateway], receiver: Receiver) -> int:
    """Which of the gateways delivers: the one that the receiver's connections come from."""
    found: list[int] = []

    def look() -> list[int]:
        found[:] = [number for number, each in enumerate(gateways) if receiver.port in peers(each.pid)]
        return found

    wait_until(look, message="nobody delivers")
    return found[0]


def peers(pid: int) -> set[int]:
    """The ports of this machine that a process has TCP connections to (IPv4)."""
    mine = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            mine.add(os.readlink(entry))
        except OSError:
            continue
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in mine and fields[3] == "01":
            found.add(int(fields[2].rpartition(":")[2], 16))
    return found


def test_a_gateway_is_killed_and_started_again(start: Callable[..., Gateway], receiver: Receiver) -> None:
    killed = start()
    with Client(killed.url, project="p") as client:
        subscribe(client, "jobs", receiver.url, PATIENT)
        subscribe(client, "jobs", receiver.url + "other", PATIENT)
        with posting(killed.url, "jobs", 300):
            pass
        receiver.wait_for(60)
        killed.kill()
    at_death = len(receiver.received)
    again = start()
    with posting(again.url, "more", 1):
        pass
    wait_for_all(receiver, 300, "/")
    wait_for_all(receiver, 300, "/other")
    # What it had sent and not noted comes again; that is little.
    assert len(receiver.received) <= 600 + 2 * 10
    assert at_death < len(receiver.received)


def test_a_kill_between_tries_does_not_begin_the_tries_anew(
    start: Callable[..., Gateway], receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    killed = start()
    policy = {**AT_ONCE, "retries_with_no_delay": 3, "minimum_delay_retries": 1, "minimum_delay": 20}
    policy["maximum_delay"] = 1000
    with Client(killed.url, project="p") as client:
        subscribe(client, "jobs", receiver.url, policy)
        post(client, "jobs", 1)
        receiver.wait_for(4)
        killed.wait_event("delivery_postponed", count=4)
        killed.kill()
    again = start()
    # After the lease it waits for the rest of the delay, and tries once.
    assert again.wait_event("delivery_postponed", 60)["attempts"] == 5
    assert receiver.bodies() == [1] * 5


def test_exactly_one_node_delivers_and_another_goes_on_when_it_is_killed(
    start: Callable[..., Gateway], receiver: Receiver
) -> None:
    gateways = [start(), start()]
    with Client(gateways[0].url, project="p") as client:
        subscribe(client, "jobs", receiver.url, PATIENT)
        post(client, "jobs", *range(100))
        receiver.wait_for(100)
        assert receiver.bodies() == list(range(100))
        number = owner_of(gateways, receiver)
        gateways[number].kill()
    other = gateways[1 - number]
    with posting(other.url, "jobs2", 1), Client(other.url, project="p") as client:
        post(client, "jobs", *range(100, 200))
        wait_for_all(receiver, 200, timeout=2 * LEASE + 30)


def test_one_that_was_stopped_and_goes_on_delivers_nothing(
    start: Callable[..., Gateway], receiver: Receiver
) -> None:
    gateways = [start(), start()]
    with Client(gateways[0].url, project="p") as client:
        subscribe(client, "jobs", receiver.url, PATIENT)
        post(client, "jobs", *range(20))
        receiver.wait_for(20)
    number = owner_of(gateways, receiver)
    stalled, other = gateways[number], gateways[1 - number]
    stalled.send_signal(signal.SIGSTOP)
    try:
        with posting(other.url, "jobs", 200):
            pass
        wait_until(lambda: len(receiver.received) >= 220, timeout=2 * LEASE + 30)
    finally:
        stalled.send_signal(signal.SIGCONT)
    with Client(stalled.url, project="p") as client:
        post(client, "jobs", *range(200, 300))
        receiver.wait_for(320)
        post(client, "jobs", "end")
        receiver.wait_for(321)
    assert receiver.bodies() == [*range(20), *range(300), "end"]
    stalled.wait_event("deliveries_lost")


def test_a_graceful_stop_hands_over_at_once_and_sends_nothing_twice(
    start: Callable[..., Gateway], receiver: Receiver
) -> None:
    first = start()
    with Client(first.url, project="p") as client:
        subscribe(client, "jobs", receiver.url, PATIENT)
    with posting(first.url, "jobs", 500):
        pass
    receiver.wait_for(20)
    first.stop()
    start()
    receiver.wait_for(500)
    assert receiver.bodies() == list(range(500))


def test_a_store_that_dies_and_comes_back(
    start: Callable[..., Gateway], store: Server, receiver: Receiver
) -> None:
    gateway = start()
    with Client(gateway.url, project="p") as client:
        subscribe(client, "jobs", receiver.url, PATIENT)
        post(client, "jobs", *range(300))
        receiver.wait_for(50)
        store.kill()
        store.start()
        wait_for_all(receiver, 300)
        wait_until(
            lambda: client.request("queue_get_stats", {"queue_name": "jobs"}).status == 200, timeout=30
        )
        post(client, "jobs", *range(300, 320))
        wait_for_all(receiver, 320)


def test_an_endpoint_that_is_down_for_a_while(start: Callable[..., Gateway]) -> None:
    gateway = start()
    port = free_port()
    with Client(gateway.url, project="p") as client:
        subscribe(client, "jobs", f"http://127.0.0.1:{port}/", PATIENT)
        post(client, "jobs", *range(50))
        gateway.wait_event("endpoint_fails", 30)
        with receiving(port) as receiver:
            wait_until(lambda: 49 in receiver.bodies(), timeout=60)
            assert receiver.bodies() == list(range(50))
        post(client, "jobs", *range(50, 100))
        gateway.wait_event("endpoint_fails", 60, count=2)
        with receiving(port) as receiver:
            wait_until(lambda: 99 in receiver.bodies(), timeout=60)
            assert receiver.bodies() == list(range(50, 100))


def test_one_that_gives_up_while_the_store_is_away_gives_up_once(
    start: Callable[..., Gateway], store: Server, receiver: Receiver
) -> None:
    gateway = start()
    gone = threading.Event()

    def answer(received: Received) -> int:
        if received.body == 1 and not gone.is_set():
            store.kill()
            gone.set()
        return 400 if received.body == 1 else 204

    receiver.answer = answer
    with Client(gateway.url, project="p") as client:
        done(
            client.request(
                "queue_create", {"queue_name": "jobs", "metadata": {"_dead_letter_queue": "dead"}}
            ),
            201,
        )
        subscribe(client, "jobs", receiver.url, PATIENT)
        post(client, "jobs", 0, 1, 2)
        assert gone.wait(30)
        store.start()
        wait_until(lambda: receiver.bodies()[-1] == 2, timeout=30)
        wait_for_all(receiver, 3)

        def dead() -> Any:
            reply = client.request("queue_get_stats", {"queue_name": "dead"})
            return reply.body.get("messages", {}).get("total") if reply.status in (200, 404) else None

        wait_until(lambda: dead() == 1, timeout=30)


def test_workers_share_the_queues(start: Callable[..., Gateway], receiver: Receiver) -> None:
    gateway = start("--workers", "2")
    with Client(gateway.url, project="p") as client:
        for number in range(10):
            subscribe(client, f"jobs-{number}", f"{receiver.url}{number}")
        for number in range(10):
            post(client, f"jobs-{number}", *range(10))
        receiver.wait_for(100)
    for number in range(10):
        assert receiver.bodies(f"/{number}") == list(range(10))


def test_what_hangs_does_not_hold_up_the_end(start: Callable[..., Gateway], receiver: Receiver) -> None:
    receiver.answer = lambda _: silent
    gateway = start("--shutdown-timeout", "1")
    with Client(gateway.url, project="p") as client:
        subscribe(client, "jobs", receiver.url, PATIENT)
        post(client, "jobs", 1)
        receiver.wait_for(1)
    gateway.stop()
    receiver.answer = lambda _: 204
    start()
    receiver.wait_for(2)
    assert receiver.bodies() == [1, 1]


def move(folder: Path, store: Server, project: str, queue: str, pool: str) -> None:
    """Run `zaqar-gateway queue move` to its end."""
    command = (sys.executable, "-m", "gateway", "queue", "move", queue, "--project", project, "--to", pool)
    catalog = sqlite_url(folder / "catalog.sqlite")
    settings = ("--data-dir", str(folder / "data"), "--redis-url", store.url, "--catalog-url", catalog)
    subprocess.run([*command, *settings], check=True, capture_output=True, cwd=ROOT, timeout=60)


def test_a_queue_that_moves_to_another_pool(
    start: Callable[..., Gateway], store: Server, receiver: Receiver, tmp_path: Path
) -> None:
    gateways = [start(), start()]
    with start_valkey(tmp_path / "there", appendonly="yes") as there, Client(gateways[0].url) as client:
        done(client.request("pool_create", {"pool_name": "there", "uri": there.url, "weight": 0}), 201)
        subscribe(client, "jobs", receiver.url, PATIENT)
        for number in range(2):
            post(client, "jobs", *range(50 * number, 50 * number + 50))
            receiver.wait_for(50 * number + 10)
            move(tmp_path, store, client.project, "jobs", "there" if number % 2 == 0 else "default")
        post(client, "jobs", *range(100, 110))
        wait_for_all(receiver, 110)
    for gateway in gateways:
        assert not [event for event in gateway.events if event["level"] == "error"]

"""What was acknowledged survives `kill -9` of the gateway, of its store, and of both."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.faults.audit import check
from tests.faults.load import PROJECT, Ledger, Worker
from tests.support.client import Client
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until

ROUNDS = 20
CLIENTS = 6
POSTS = 60
"""Acknowledged posts of all clients, at the least, before each kill; up to three times as many."""


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_and_nothing_is_claimed_twice(tmp_path: Path) -> None:
    chance, ledger = random.Random(20), Ledger()
    gateway = start_gateway(tmp_path / "data")
    try:
        for round_ in range(ROUNDS):
            workers = [
                Worker(gateway.url, f"{round_}.{number}", ledger, seed=100 * round_ + number)
                for number in range(CLIENTS)
            ]
            goal = chance.randint(POSTS, 3 * POSTS)
            _wait_posted(workers, goal)
            kill = ("store", "gateway", "both")[round_ % 3]
            if kill == "store":
                _kill_store(gateway)
                # The same gateway goes on, on the same sockets.
                _wait_posted(workers, _posted(workers) + POSTS)
                for worker in workers:
                    worker.end()
            else:
                gateway = _restart(gateway, workers, kill_store=kill == "both")
            with Client(gateway.url, project=PROJECT) as client:
                check(client, ledger)
        gateway.stop()
    finally:
        gateway.close()


def _posted(workers: list[Worker]) -> int:
    return sum(worker.posted for worker in workers)


def _wait_posted(workers: list[Worker], goal: int) -> None:
    wait_until(lambda: _posted(workers) >= goal, timeout=90)


def _kill_store(gateway: Gateway) -> None:
    """Kill the embedded Valkey, and wait until the gateway has started another."""
    started = [event["pid"] for event in gateway.events if event["event"] == "valkey_ready"]
    os.kill(started[-1], signal.SIGKILL)
    gateway.wait_event("valkey_ready", count=len(started) + 1)


def _restart(gateway: Gateway, workers: list[Worker], *, kill_store: bool) -> Gateway:
    store = [event["pid"] for event in gateway.events if event["event"] == "valkey_ready"][-1]
    if kill_store:
        os.kill(store, signal.SIGKILL)
    gateway.kill()
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    gateway = start_gateway(gateway.data_dir)
    if not kill_store:  # it was left behind, and taken over
        assert gateway.wait_event("valkey_left_behind")["pids"] == str([store])
    return gateway

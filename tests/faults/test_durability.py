"""What was acknowledged survives `kill -9` of the gateway, of its store, and of both."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from tests.faults.load import CLAIM_TTL, PROJECT, QUEUE, Ledger, Worker, all_messages
from tests.support.client import Client
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until

ROUNDS = 20
CLIENTS = 6
POSTS = 60
"""Acknowledged posts of all clients, at the least, before each kill; up to three times as many."""


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
                _check(client, ledger)
        gateway.stop()
    finally:
        gateway.close()


def _posted(workers: list[Worker]) -> int:
    return sum(worker.posted for worker in workers)


def _wait_posted(workers: list[Worker], goal: int) -> None:
    wait_until(lambda: _posted(workers) >= goal, timeout=30)


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


def _check(client: Client, ledger: Ledger) -> None:
    assert not ledger.faults, ledger.faults
    messages = all_messages(client)
    bodies = [message["body"] for message in messages]
    there = set(bodies)
    assert len(bodies) == len(there), f"twice: {sorted(body for body in there if bodies.count(body) > 1)}"

    lost = ledger.acknowledged.keys() - ledger.deleted - ledger.perhaps_deleted - there
    assert not lost, f"acknowledged and lost: {lost}"
    assert not there & ledger.deleted, f"deleted and back: {there & ledger.deleted}"
    assert not there & ledger.refused, f"refused and there: {there & ledger.refused}"
    assert there <= ledger.acknowledged.keys() | ledger.unknown
    for message in messages:
        assert ledger.acknowledged.get(message["body"], message["id"]) == message["id"]

    position = {body: place for place, body in enumerate(bodies)}
    by_client: dict[str, list[int]] = {}
    for body in ledger.acknowledged:
        if body in position:
            by_client.setdefault(body.rpartition("-")[0], []).append(position[body])
    for name, places in by_client.items():
        assert places == sorted(places), f"the messages of client {name} are out of order"

    # From here on the store is what is known.
    ledger.acknowledged = {message["body"]: message["id"] for message in messages}
    ledger.unknown.clear()
    ledger.deleted |= ledger.perhaps_deleted - there
    ledger.perhaps_deleted.clear()
    _check_claims(client, ledger, {message["id"]: message["claim_id"] for message in messages})


def _check_claims(client: Client, ledger: Ledger, shown: dict[str, str | None]) -> None:
    """Every claim that was handed out still holds what it held; nothing of it is handed out again."""
    held: set[str] = set()
    for claim_id, promised in ledger.claims.items():
        reply = client.request("claim_get", {"queue_name": QUEUE, "claim_id": claim_id})
        expected = {message_id for message_id, body in promised.items() if body not in ledger.deleted}
        if reply.status == 404:  # a claim whose last message was deleted may be shown without any, or be gone
            assert not expected, f"claim {claim_id} is gone, and held {expected}"
            continue
        assert reply.status == 200, reply.document
        holds = [message["id"] for message in reply.body["messages"]]
        assert sorted(holds) == sorted(expected), claim_id
        assert all(shown[message_id] == claim_id for message_id in holds)
        assert not held & set(holds), f"held by two claims: {held & set(holds)}"
        held |= set(holds)

    free = {message_id for message_id, claim_id in shown.items() if claim_id is None}
    handed_out: list[str] = []
    probes: list[str] = []
    while True:
        reply = client.request("claim_create", {"queue_name": QUEUE, "ttl": CLAIM_TTL, "limit": 20})
        if reply.status == 204:
            break
        assert reply.status == 201, reply.document
        probes.append(reply.body["claim_id"])
        handed_out += [message["id"] for message in reply.body["messages"]]
    assert sorted(handed_out) == sorted(free)
    assert not held & set(handed_out)

    # Half of the claims go on into the next round; the others, and those that nobody knows of, are released.
    unknown = {claim_id for claim_id in shown.values() if claim_id} - ledger.claims.keys()
    ended = list(ledger.claims)[::2]
    for claim_id in [*probes, *unknown, *ended]:
        assert client.request("claim_delete", {"queue_name": QUEUE, "claim_id": claim_id}).status == 204
        ledger.claims.pop(claim_id, None)
    ledger.perhaps_released.clear()

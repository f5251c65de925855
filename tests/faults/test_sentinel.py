"""A gateway on a Sentinel service: its primary is replaced, dies or hangs, while clients work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.extension import SUBPROTOCOL
from tests.faults.audit import check
from tests.faults.broadcast import broadcast
from tests.faults.load import PROJECT, Ledger, Worker
from tests.faults.ready import readiness, wait_ready
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.servers import start_redis, start_valkey
from tests.support.topologies import DURABLE, Service, start_service

CLIENTS = 4


@pytest.fixture(params=["valkey", "redis7"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own, of each product, that keeps what it acknowledged."""
    start = start_valkey if request.param == "valkey" else start_redis
    with start_service(tmp_path / "service", start, **DURABLE) as service:
        yield service


@pytest.fixture
def gateway(service: Service, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway on it, which acknowledges what the replica has too."""
    with start_gateway(tmp_path / "data", "--redis-url", service.url, "--min-replicas", "1") as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("service", "how"),
    [
        ("redis7", "killed"),
        ("valkey", "hung"),
        pytest.param("valkey", "killed", marks=pytest.mark.long),
        pytest.param("redis7", "hung", marks=pytest.mark.long),
        pytest.param("valkey", "replaced", marks=pytest.mark.long),
        pytest.param("redis7", "replaced", marks=pytest.mark.long),
    ],
    indirect=["service"],
)
def test_what_was_acknowledged_survives_a_failover(gateway: Gateway, service: Service, how: str) -> None:
    ledger = Ledger()
    workers = [Worker(gateway.url, f"client{n}", ledger, seed=n) for n in range(CLIENTS)]

    def posted() -> int:
        return sum(worker.posted for worker in workers)

    wait_until(lambda: posted() >= 100, timeout=90)
    old, new = service.primary, service.replica
    if how == "replaced":
        service.fail_over()
    else:
        if how == "killed":
            old.kill()
        else:
            os.kill(old.pid, signal.SIGSTOP)
        service.wait_for_another_primary(old)
        # The new primary has no replica: nothing is acknowledged until the old one, which still takes itself
        # for the primary, is its replica. The sentinels see to it, but take ten seconds or more.
        if how == "killed":
            old.restart()
        else:
            os.kill(old.pid, signal.SIGCONT)
        old.client().replicaof("127.0.0.1", str(new.tcp_port))
    service.wait_whole()
    before = posted()
    wait_until(lambda: posted() >= before + 100, timeout=90)
    for worker in workers:
        worker.end()
    assert service.primary is new
    wait_ready(gateway)
    with Client(gateway.url, project=PROJECT) as client:
        check(client, ledger)
    assert readiness(gateway)["store"]["role"] == "primary"


@pytest.mark.long
def test_subscribers_follow_the_primary(gateway: Gateway, service: Service) -> None:
    def fault() -> None:
        service.fail_over()
        service.wait_whole()

    assert broadcast(gateway, 80, every=80, fault=fault, failover=True) > 0


@pytest.mark.parametrize("service", [pytest.param("valkey", marks=pytest.mark.long), "redis7"], indirect=True)
def test_a_sentinel_that_is_down_or_hung_costs_nothing(gateway: Gateway, service: Service) -> None:
    first, second, _ = service.sentinels
    first.kill()
    os.kill(second.pid, signal.SIGSTOP)
    try:
        assert broadcast(gateway, 40, every=40, fault=lambda: None) == 40
    finally:
        os.kill(second.pid, signal.SIGCONT)
    first.start()
    service.wait_whole()


def subscribe(client: Client, **fields: str) -> dict[str, object]:
    told: dict[str, object] = done(client.request("subscription_create", {"queue_name": "q", **fields}), 201)
    return told


@pytest.mark.parametrize("service", ["valkey", pytest.param("redis7", marks=pytest.mark.long)], indirect=True)
def test_who_had_what_a_failover_lost_is_told(service: Service, tmp_path: Path) -> None:
    """The primary is cut from its replica, acknowledges more, and dies."""
    with (
        start_gateway(tmp_path / "data", "--redis-url", service.url) as gateway,
        Client(gateway.url, project=PROJECT) as poster,
        Client(gateway.url, project=PROJECT, subprotocol=SUBPROTOCOL) as live,
        Client(gateway.url, project=PROJECT) as plain,
        Client(gateway.url, project=PROJECT, form="msgpack", subprotocol=SUBPROTOCOL) as late,
    ):
        for each in (live, plain):
            subscribe(each)
        post(poster, "q", "kept")
        (kept,) = live.wait_notifications(1)
        old, new = service.primary, service.replica
        wait_until(lambda: old.client().wait(1, 1000) == 1)
        os.kill(new.pid, signal.SIGSTOP)
        old.client().execute_command("CLIENT", "KILL", "TYPE", "replica")
        post(poster, "q", "lost", "lost too")
        lost = live.wait_notifications(3)[2]
        old.kill()
        os.kill(new.pid, signal.SIGCONT)
        service.wait_for_another_primary(old)
        wait_ready(gateway)
        gap = {"from": kept["marker"], "to": lost["marker"], "reason": "failover"}
        assert live.wait_notifications(4, 30)[3] == {"event": "gap", "queue_name": "q", **gap}
        told = subscribe(late, **{"from": lost["marker"]})
        assert (told["recovered"], told["gap"], told["marker"]) == (False, gap, kept["marker"])
        post(poster, "q", "new")
        assert live.wait_notifications(5)[4]["body"] == "new"
        assert late.wait_notifications(1)[0]["body"] == "new"
        bodies = [each["body"] for each in plain.wait_notifications(4)]
        assert bodies == ["kept", "lost", "lost too", "new"]

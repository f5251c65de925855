"""A node with several workers, as a person starts it: one port, one set of metrics, one catalog."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.workers.worker import pack_settings, read_settings
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, launch_gateway, start_gateway
from tests.support.raw import http
from tests.support.reactor import wait_until
from tests.support.servers import free_port
from tests.support.workers import worker_of

CLIENTS = 20
"""So many that both workers get some: all of them go to one in one run of 500,000."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start_gateway(tmp_path_factory.mktemp("workers") / "data", "--workers", "2") as running:
        yield running


@pytest.fixture
def clients(gateway: Gateway) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Client(gateway.url, project="p")) for _ in range(CLIENTS)]


def metric(gateway: Gateway, line: str) -> float:
    """The value of one line of `/metrics`; 0 if it is not there yet."""
    status, _, body = http(gateway.http_url, "/metrics")
    assert status == 200
    match = re.search(rf"^{re.escape(line)} (\S+)$", body.decode(), re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_settings_reach_the_worker_as_they_are(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        redis_url="redis://:p@host",
        workers=3,
        shutdown_timeout=1.5,
        trusted_proxies=("::1",),
    )
    assert read_settings(pack_settings(settings)) == settings


def test_all_workers_listen_on_one_port(gateway: Gateway, clients: list[Client]) -> None:
    assert {worker_of(gateway, client) for client in clients} == {1, 2}
    listening = [event for event in gateway.events if event["event"] == "worker_listening"]
    assert {event["worker"] for event in listening} == {1, 2}
    assert {event["url"] for event in listening} == {gateway.url}
    assert "worker" not in gateway.wait_event("listening")


def test_metrics_are_those_of_the_node_whoever_is_asked(gateway: Gateway, clients: list[Client]) -> None:
    line = 'zaqar_gateway_requests_total{action="queue_get",status="200"}'
    before = metric(gateway, line)
    for client in clients:
        done(client.request("queue_get", {"queue_name": "q"}), 200)
    for _ in range(8):
        assert metric(gateway, line) == before + CLIENTS
    # Sockets of the test before may be on their way out.
    wait_until(lambda: metric(gateway, "zaqar_gateway_connections") == CLIENTS)


def test_health_is_told_by_any(gateway: Gateway) -> None:
    for _ in range(4):
        assert http(gateway.http_url, "/healthz")[0] == 200
        assert http(gateway.http_url, "/readyz")[0] == 200


def test_a_message_reaches_the_subscribers_on_all_workers(gateway: Gateway, clients: list[Client]) -> None:
    for client in clients:
        done(client.request("subscription_create", {"queue_name": "news"}), 201)
    for number, client in enumerate(clients):
        post(client, "news", number)
    for client in clients:
        told = [notification["body"] for notification in client.wait_notifications(CLIENTS)]
        assert told == list(range(CLIENTS))


def test_queues_come_and_go_on_all_workers_at_once(gateway: Gateway, clients: list[Client]) -> None:
    """Several processes write one SQLite file: each waits for the others, and no client hears of it."""
    wrong: list[object] = []

    def work(number: int, client: Client) -> None:
        for turn in range(15):
            mine, shared = f"mine-{number}-{turn}", f"shared-{turn}"
            for action, body, expected in (
                ("queue_create", {"queue_name": mine}, {201}),
                ("queue_create", {"queue_name": shared}, {201, 204}),
                ("message_post", {"queue_name": mine, "messages": [{"body": 1}]}, {201}),
                ("queue_delete", {"queue_name": mine}, {204}),
                ("queue_list", {}, {200}),
            ):
                reply = client.request(action, body)
                if reply.status not in expected:
                    wrong.append((action, reply.status, reply.body))

    threads = [threading.Thread(target=work, args=each) for each in enumerate(clients[:12])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []


def test_a_port_in_use_is_said_once(gateway: Gateway, tmp_path: Path) -> None:
    taken = gateway.url.rsplit(":", 1)[1].strip("/")
    failing = launch_gateway(tmp_path / "data", "--workers", "2", "--port", taken)
    try:
        assert failing.wait() == 1
        (said,) = [event for event in failing.events if event["event"] == "start_failed"]
        assert "Address already in use" in said["reason"]
        assert not [event for event in failing.events if "worker" in event]
    finally:
        failing.close()


def test_workers_that_cannot_start_end_the_start(tmp_path: Path) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    failing = launch_gateway(tmp_path / "data", "--workers", "2", "--redis-url", nobody)
    try:
        assert failing.wait() == 1
        said = [event for event in failing.events if event["event"] == "start_failed"]
        assert [event.get("worker") for event in said] == [1, None]
        assert said[1]["reason"] == "worker 1 ended as it started, with exit status 1"
    finally:
        failing.close()

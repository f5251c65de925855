"""Deaths of a node's processes: one worker, all at once by signal, and the supervisor itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.ready import get
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, processes_in, start_gateway
from tests.support.reactor import wait_until
from tests.support.workers import is_running, pids, worker_of

LIMIT = 9.0
"""Seconds from signal to exit: 5 are promised, the rest is a busy machine's; a request may take 10."""

CLIENTS = 20
"""So many that both workers get some."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = start_gateway(tmp_path / "data", "--workers", "2")
    yield gateway
    gateway.close()


@pytest.fixture
def clients(gateway: Gateway) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Client(gateway.url, project="p")) for _ in range(CLIENTS)]


def closed_with(client: Client) -> int | None:
    """The code that the client's socket is closed with; None if it broke."""
    with pytest.raises(ConnectionClosed) as closed:
        client.receive()
    return None if closed.value.rcvd is None else closed.value.rcvd.code


def requests(gateway: Gateway) -> float:
    """Requests for queues that the node has answered, as its metrics say."""
    line = 'zaqar_gateway_requests_total{action="queue_get",status="200"} '
    told = get(gateway, "/metrics")[1].decode().splitlines()
    return sum(float(each.removeprefix(line)) for each in told if each.startswith(line))


def test_a_worker_that_dies_takes_only_its_own_sockets(gateway: Gateway, clients: list[Client]) -> None:
    workers = [worker_of(gateway, client) for client in clients]
    assert set(workers) == {1, 2}
    for client in clients:
        done(client.request("subscription_create", {"queue_name": "news"}), 201)
        done(client.request("queue_get", {"queue_name": "news"}), 200)
    assert requests(gateway) == CLIENTS
    os.kill(pids(gateway)[1], signal.SIGKILL)
    for worker, client in zip(workers, clients, strict=True):
        if worker == 1:
            assert closed_with(client) is None
    left = [client for worker, client in zip(workers, clients, strict=True) if worker == 2]
    post(left[0], "news", "still here")
    for client in left:
        assert [each["body"] for each in client.wait_notifications(1)] == ["still here"]
    died = gateway.wait_event("worker_died")
    assert (died["number"], died["reason"]) == (1, "signal 9 (Killed)")
    # Another takes its place, and what was counted is not forgotten.
    gateway.wait_event("worker_listening", 30, count=3)
    assert requests(gateway) == CLIENTS
    with ExitStack() as stack:
        fresh = [stack.enter_context(Client(gateway.url, project="p")) for _ in range(CLIENTS)]
        assert {worker_of(gateway, client) for client in fresh} == {1, 2}
    gateway.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_all_workers_close_their_sockets_and_end_in_time(
    gateway: Gateway, clients: list[Client], number: signal.Signals
) -> None:
    assert {worker_of(gateway, client) for client in clients} == {1, 2}
    store = int(gateway.wait_event("valkey_ready")["pid"])
    os.kill(store, signal.SIGSTOP)
    try:
        for client in clients[:4]:
            client.send("message_post", {"queue_name": "jobs", "messages": [{"body": "in flight"}]})
        for client in clients[4:]:
            client.request("authenticate", {}, {"X-Auth-Token": "t"})
        since = time.monotonic()
        os.kill(gateway.pid, number)
        for client in clients[4:]:
            assert closed_with(client) == 1012
    finally:
        os.kill(store, signal.SIGCONT)
    for client in clients[:4]:
        done(client.receive_reply(), 201)
        assert closed_with(client) == 1012
    assert gateway.wait(LIMIT + 20) == 0, "\n".join(gateway.log_lines)
    assert time.monotonic() - since < LIMIT, "\n".join(gateway.log_lines)
    assert not any(map(is_running, pids(gateway).values()))
    assert not processes_in(gateway.data_dir)
    assert not [event for event in gateway.events if event["level"] == "error"], gateway.log_lines


def test_a_worker_that_does_not_end_is_killed(gateway: Gateway) -> None:
    stalled = pids(gateway)[2]
    os.kill(stalled, signal.SIGSTOP)
    since = time.monotonic()
    gateway.terminate()
    assert gateway.wait(LIMIT + 20) == 0
    assert time.monotonic() - since < LIMIT, "\n".join(gateway.log_lines)
    assert gateway.wait_event("worker_killed")["number"] == 2
    assert not is_running(stalled)
    assert not processes_in(gateway.data_dir)


def test_workers_end_with_a_supervisor_that_was_killed(gateway: Gateway, clients: list[Client]) -> None:
    gateway._process.kill()
    for client in clients:
        assert closed_with(client) == 1012
    for pid in pids(gateway).values():
        wait_until(lambda: not is_running(pid))  # noqa: B023  # in this round
    # The next one takes over what is left in the folder, as after the end of a node with one process.
    gateway.close()
    with start_gateway(gateway.data_dir, "--workers", "2") as again, Client(again.url) as client:
        post(client, "jobs", 1)


def test_metrics_are_told_while_a_worker_stalls(gateway: Gateway, clients: list[Client]) -> None:
    for client in clients:
        done(client.request("queue_get", {"queue_name": "q"}), 200)
    assert requests(gateway) == CLIENTS
    address = urlsplit(gateway.url).netloc
    os.kill(pids(gateway)[2], signal.SIGSTOP)
    try:
        told: list[int] = []

        def answered() -> list[int]:
            # A connection that the kernel gives to the stalled worker is not answered.
            with suppress(TimeoutError), closing(HTTPConnection(address, timeout=5)) as connection:
                connection.request("GET", "/metrics")
                told.append(connection.getresponse().status)
            return told

        wait_until(answered, timeout=90)
        assert told == [200]
    finally:
        os.kill(pids(gateway)[2], signal.SIGCONT)

"""Ends and starts of the program: by signal, with clients that misbehave, after deaths, beside another."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from protocol.extension import SUBPROTOCOL
from tests.faults.load import all_messages
from tests.faults.ready import wait_ready
from tests.support.client import Client, Form
from tests.support.expect import done, post
from tests.support.gateway import Gateway, launch_gateway, processes_in, start_gateway
from tests.support.raw import RawSocket
from tests.support.raw_client import RawClient
from tests.support.reactor import wait_until
from tests.support.servers import start_redis

LIMIT = 9.0
"""Seconds from signal to exit: 5 are promised, the rest is a busy machine's; a request may take 10."""

RESTART = 1012


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of the test's own, with its embedded defaults."""
    gateway = start_gateway(tmp_path / "data")
    yield gateway
    gateway.close()


def store_pid(gateway: Gateway) -> int:
    """The process of the embedded Valkey that runs now."""
    return int([event["pid"] for event in gateway.events if event["event"] == "valkey_ready"][-1])


def send_signal(gateway: Gateway, number: signal.Signals = signal.SIGTERM) -> float:
    """Signal the gateway; returns when, on the clock of `ended_in_time`."""
    os.kill(gateway.pid, number)
    return time.monotonic()


def ended_in_time(gateway: Gateway, since: float) -> None:
    """It ends with 0 in time, leaves no process, and its port is free."""
    code = gateway.wait(LIMIT + 20)
    took = time.monotonic() - since
    assert code == 0, "\n".join(gateway.log_lines)
    assert took < LIMIT, f"{took:.1f} seconds:\n" + "\n".join(gateway.log_lines)
    assert not processes_in(gateway.data_dir)
    assert not [event for event in gateway.events if event["level"] == "error"], gateway.log_lines
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address(gateway))


def address(gateway: Gateway) -> tuple[str, int]:
    """Where it listens, or listened."""
    parts = urlsplit(gateway.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def refuses_connections(gateway: Gateway) -> bool:
    """Whether the port takes no connection any more."""
    try:
        socket.create_connection(address(gateway), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def closed_with(client: Client) -> int | None:
    """The code that the gateway closes the client's socket with."""
    with pytest.raises(ConnectionClosed) as closed:
        client.receive()
    return None if closed.value.rcvd is None else closed.value.rcvd.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_requests_in_flight_are_finished_and_sockets_told(gateway: Gateway, number: signal.Signals) -> None:
    with Client(gateway.url, project="one") as working, Client(gateway.url, project="one") as idle:
        post(working, "jobs", "before")
        os.kill(store_pid(gateway), signal.SIGSTOP)
        try:
            working.send("message_post", {"queue_name": "jobs", "messages": [{"body": "in flight"}]})
            # Its frame came before this one, so it has been taken up when this one is answered.
            done(idle.request("queue_list", {}), 200)
            since = send_signal(gateway, number)
            wait_until(lambda: refuses_connections(gateway))
            assert closed_with(idle) == RESTART
        finally:
            os.kill(store_pid(gateway), signal.SIGCONT)
        done(working.receive_reply(), 201)
        assert closed_with(working) == RESTART
        ended_in_time(gateway, since)
    with start_gateway(gateway.data_dir) as again, Client(again.url, project="one") as client:
        assert [message["body"] for message in all_messages(client, "jobs")] == ["before", "in flight"]


def test_a_signal_while_it_starts_ends_it_too(tmp_path: Path) -> None:
    gateway = launch_gateway(tmp_path / "data", "--log-level", "debug")
    try:
        gateway.wait_event("valkey")  # the store has just said its first words
        since = send_signal(gateway)
        assert gateway.wait(LIMIT + 20) == 0, "\n".join(gateway.log_lines)
        assert time.monotonic() - since < LIMIT
        assert not processes_in(gateway.data_dir)
    finally:
        gateway.close()


def does_not_answer_the_close(gateway: Gateway) -> RawClient:
    """Reads all, and never sends a close frame or closes its end."""
    client = RawClient(gateway.url)
    assert client.request("queue_list", {})["headers"]["status"] == 200
    return client


def does_not_read(gateway: Gateway) -> RawClient:
    """Has asked for more than all buffers between it and the gateway can hold, and reads nothing of it."""
    client = RawClient(gateway.url)
    reply = client.request("message_post", {"queue_name": "large", "messages": [{"body": "x" * 200_000}]})
    ids = reply["body"]["message_ids"]
    for _ in range(100):
        client.send_request("message_get_many", {"queue_name": "large", "message_ids": ids})
    return client


def has_not_finished_its_handshake(gateway: Gateway) -> RawSocket:
    """Has sent half of a request's head."""
    client = RawSocket(gateway.url, handshake=False)
    client.send(client.upgrade_request()[:-20])
    return client


def keeps_http_open(gateway: Gateway) -> RawSocket:
    """Has an answer to plain HTTP, and keeps the connection for more."""
    client = RawSocket(gateway.url, handshake=False)
    client.send(f"GET /healthz HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode())
    assert client.receive_head().startswith(b"HTTP/1.1 200 ")
    return client


@pytest.mark.parametrize(
    "connect",
    [does_not_answer_the_close, does_not_read, has_not_finished_its_handshake, keeps_http_open],
    ids=lambda connect: connect.__name__,
)
def test_a_client_that_does_not_behave_delays_nobody(
    gateway: Gateway, connect: Callable[[Gateway], RawSocket]
) -> None:
    with Client(gateway.url) as early:
        done(early.request("queue_list", {}), 200)
        with connect(gateway) as hindrance, Client(gateway.url) as late:
            done(late.request("queue_list", {}), 200)
            since = send_signal(gateway)
            assert closed_with(early) == RESTART
            assert closed_with(late) == RESTART
            if connect is does_not_answer_the_close:
                assert hindrance.receive_close() == RESTART
            ended_in_time(gateway, since)


def test_an_embedded_store_that_hangs_is_left_behind_in_time(gateway: Gateway) -> None:
    with Client(gateway.url, project="one") as waiting, Client(gateway.url, project="one") as subscribed:
        post(waiting, "jobs", "before")
        done(subscribed.request("subscription_create", {"queue_name": "jobs"}), 201)
        os.kill(store_pid(gateway), signal.SIGSTOP)
        waiting.send("message_post", {"queue_name": "jobs", "messages": [{"body": "in flight"}]})
        done(subscribed.request("queue_list", {}), 200)
        since = send_signal(gateway)
        # Its own requests are done: it does not wait for those of others.
        assert closed_with(subscribed) == RESTART
        ended_in_time(gateway, since)
    with start_gateway(gateway.data_dir) as again, Client(again.url, project="one") as client:
        assert all_messages(client, "jobs")[0]["body"] == "before"


def test_a_store_elsewhere_that_hangs_does_not_delay_the_end(tmp_path: Path) -> None:
    with start_redis(tmp_path / "store") as store:
        gateway = start_gateway(tmp_path / "data", "--redis-url", store.url)
        with Client(gateway.url, project="one") as waiting, Client(gateway.url, project="one") as subscribed:
            done(subscribed.request("subscription_create", {"queue_name": "jobs"}), 201)
            os.kill(store.pid, signal.SIGSTOP)
            waiting.send("message_post", {"queue_name": "jobs", "messages": [{"body": "in flight"}]})
            done(subscribed.request("queue_list", {}), 200)
            since = send_signal(gateway)
            assert closed_with(subscribed) == RESTART
            ended_in_time(gateway, since)


def test_an_embedded_store_that_dies_is_started_again(gateway: Gateway) -> None:
    with Client(gateway.url, project="one") as client:
        post(client, "jobs", "before")
        os.kill(store_pid(gateway), signal.SIGKILL)
        gateway.wait_event("valkey_ready", count=2)
        wait_ready(gateway)
        post(client, "jobs", "after")
        assert [message["body"] for message in all_messages(client, "jobs")] == ["before", "after"]
    gateway.stop()


def test_what_a_killed_gateway_left_behind_is_taken_over(gateway: Gateway) -> None:
    with Client(gateway.url, project="one") as client:
        post(client, "jobs", "before")
        left = store_pid(gateway)
        gateway.kill()
    assert processes_in(gateway.data_dir) == [left]
    with start_gateway(gateway.data_dir) as again, Client(again.url, project="one") as client:
        assert store_pid(again) != left
        assert processes_in(gateway.data_dir) == [store_pid(again)]
        assert [message["body"] for message in all_messages(client, "jobs")] == ["before"]


def test_a_second_gateway_on_the_folder_is_refused(gateway: Gateway) -> None:
    second = launch_gateway(gateway.data_dir)
    assert second.wait() == 1
    (refusal,) = [event for event in second.events if event["level"] == "error"]
    assert refusal["event"] == "start_failed"
    assert refusal["reason"] == (
        f"another gateway (process {gateway.pid}) runs on the data folder {gateway.data_dir}; "
        "stop it, or give another folder with --data-dir"
    )
    with Client(gateway.url) as client:
        post(client, "jobs", "still here")
    gateway.stop()


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_extended_sockets_are_told_that_the_node_stops(gateway: Gateway, form: Form) -> None:
    with (
        Client(gateway.url, form=form, subprotocol=SUBPROTOCOL) as client,
        Client(gateway.url, form=form) as plain,
    ):
        done(client.request("ping_node"), 204)
        done(plain.request("ping_node"), 204)
        since = send_signal(gateway)
        told = client.receive()
        assert told.keys() == {"event", "reconnect_after_ms"}
        assert told["event"] == "draining"
        assert 0 <= told["reconnect_after_ms"] < 5000
        for each in (client, plain):
            with pytest.raises(ConnectionClosed) as closed:
                each.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == RESTART
    ended_in_time(gateway, since)

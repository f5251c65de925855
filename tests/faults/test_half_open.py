"""Peers that are gone without a word are found by pings; whoever reads late, or sends anything, is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import unix_connect

from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.proxy import Proxy
from tests.support.raw import PING, PONG, TEXT, Ended, RawSocket, make_frame
from tests.support.raw_client import RawClient
from tests.support.reactor import wait_until

INTERVAL, TIMEOUT = 1, 3
"""Seconds, as the gateway of these tests is told."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    pings = ("--ping-interval", str(INTERVAL), "--ping-timeout", str(TIMEOUT))
    with start_gateway(tmp_path / "data", "--fsync", "everysec", *pings) as gateway:
        yield gateway


def outlive_silent_sockets(gateway: Gateway, count: int = 2) -> None:
    """Wait until that many sockets, one after the other, were opened and ended for their silence."""
    before = silent(gateway)
    for number in range(1, count + 1):
        with RawSocket(gateway.url):
            gateway.wait_event("connection_silent", 30, count=before + number)


def silent(gateway: Gateway) -> int:
    return sum(event["event"] == "connection_silent" for event in gateway.events)


def test_a_half_open_socket_is_ended_and_its_subscription_with_it(gateway: Gateway, tmp_path: Path) -> None:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    assert address.port is not None
    headers = {"Client-ID": "client-of-test", "X-Project-ID": "p"}
    subscribe = {"action": "subscription_create", "headers": headers, "body": {"queue_name": "q"}}
    with (
        Proxy((address.hostname, address.port), tmp_path / "proxy.sock") as proxy,
        Client(gateway.url, project="p") as other,
        unix_connect(str(proxy.path), gateway.url, ping_interval=None, close_timeout=0) as half_open,
    ):
        half_open.send(json.dumps(subscribe))
        assert json.loads(half_open.recv(timeout=30))["headers"]["status"] == 201
        # It lives as long as its pongs arrive, and no longer.
        outlive_silent_sockets(gateway)
        assert done(other.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"]
        count = silent(gateway)
        proxy.stall()
        gateway.wait_event("connection_silent", 30, count=count + 1)
        wait_until(
            lambda: not done(other.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"]
        )


def test_any_traffic_counts(gateway: Gateway) -> None:
    """One byte of a long message now and then is a sign of life, as is a pong that answers no ping."""
    document = {"action": "authenticate", "headers": {"X-Project-ID": "p", "X-Auth-Token": "x" * 60}}
    frame = make_frame(TEXT, json.dumps(document).encode())
    with RawSocket(gateway.url) as slow, RawSocket(gateway.url, timeout=30) as odd:
        for octet in range(30):  # 9 seconds
            slow.send(frame[octet : octet + 1])
            odd.send_frame(PONG, b"unasked")
            time.sleep(0.3)  # it is the time that passes which is tested here
        slow.send(frame[30:])
        assert b'"status": 200' in slow.receive_message().payload.replace(b'"status":200', b'"status": 200')
        assert odd.receive_frame().opcode == PING
    assert silent(gateway) == 0


def test_a_reader_that_is_slow_is_not_ended(gateway: Gateway) -> None:
    with RawClient(gateway.url, project="p") as slow, Client(gateway.url, project="p") as poster:
        assert slow.request("subscription_create", {"queue_name": "news"})["headers"]["status"] == 201
        count = 20_000
        for first in range(0, count, 100):
            post(poster, "news", *({"n": n, "pad": "x" * 1000} for n in range(first, first + 100)), ttl=300)
        outlive_silent_sockets(gateway, 3)
        numbers = [slow.receive_document()["body"]["n"] for _ in range(count)]
        assert numbers == list(range(count))


def test_one_that_says_nothing_and_reads_nothing_is_ended(gateway: Gateway) -> None:
    with RawSocket(gateway.url) as quiet:
        assert quiet.receive_frame().opcode == PING
        with pytest.raises(Ended):
            while True:
                quiet.receive_frame()
    gateway.wait_event("connection_silent")


def test_pings_can_be_switched_off(tmp_path: Path, gateway: Gateway) -> None:
    with (
        start_gateway(tmp_path / "quiet", "--ping-interval", "0") as without,
        RawClient(without.url) as idle,
    ):
        outlive_silent_sockets(gateway)
        idle.send_request("queue_list", {})
        assert idle.receive_frame().opcode == TEXT

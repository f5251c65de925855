"""A client that does not read costs bounded memory and nobody else's time, and loses nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ready import get
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.memory import Peak
from tests.support.raw_client import RawClient
from tests.support.reactor import wait_until

MESSAGES = 20_000
"""Of 1 kB each: more than the kernel takes on the way to a client that does not read."""

PER_POST = 100
REQUESTS = 5000
BODY = "x" * 1000
GROWTH = 30_000_000
"""Bytes that the gateway may grow by, at its peak."""

STALLED_GROWTH = 200_000_000
"""The same for a hundred clients that do not read."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of the test's own, that nothing else has made grow before."""
    with start_gateway(tmp_path / "data", "--fsync", "everysec") as gateway:
        yield gateway


class Listener(threading.Thread):
    """A subscriber that reads at once, in a thread of its own."""

    def __init__(self, client: Client, count: int) -> None:
        super().__init__(daemon=True)
        self.heard: list[int] = []
        self._client = client
        self._count = count
        done(client.request("subscription_create", {"queue_name": "news"}), 201)
        self.start()

    def run(self) -> None:
        while len(self.heard) < self._count:
            self.heard.append(self._client.receive()["body"]["n"])


def counted(gateway: Gateway, line: str) -> float:
    """The value of one line of `/metrics`; 0 if it is not there yet."""
    match = re.search(rf"^{re.escape(line)} (\S+)$", get(gateway, "/metrics")[1].decode(), re.MULTILINE)
    return float(match[1]) if match else 0.0


def post_numbers(client: Client, first: int, count: int) -> None:
    """Post so many numbered messages of 1 kB."""
    for number in range(first, first + count, PER_POST):
        bodies: list[Any] = [{"n": n, "pad": BODY} for n in range(number, number + PER_POST)]
        post(client, "news", *bodies)


def test_a_subscriber_that_does_not_read(gateway: Gateway) -> None:
    with (
        Client(gateway.url, project="one") as poster,
        Client(gateway.url, project="one") as text,
        Client(gateway.url, project="one", form="msgpack") as binary,
        RawClient(gateway.url, project="one") as slow,
    ):
        total = 2000 + MESSAGES
        reply = slow.request("subscription_create", {"queue_name": "news"})
        assert reply["headers"]["status"] == 201
        others = [Listener(text, total), Listener(binary, total)]
        # What any traffic makes the gateway take, it takes now; all of this still finds room on the way.
        post_numbers(poster, 0, 2000)
        wait_until(lambda: all(len(other.heard) == 2000 for other in others), timeout=30)
        peak = Peak(gateway.pid)
        post_numbers(poster, 2000, MESSAGES)
        for other in others:
            other.join(120)
            assert other.heard == list(range(total))
        assert counted(gateway, "zaqar_gateway_pushes_total") < 3 * total  # it does wait for the slow one
        assert peak.growth() < GROWTH
        heard = [slow.receive_document()["body"]["n"] for _ in range(total)]
        assert heard == list(range(total))
        assert peak.growth() < GROWTH
        # It has caught up: what comes now is the next thing that it hears.
        post(poster, "news", {"n": -1})
        assert slow.receive_document()["body"] == {"n": -1}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("stalled", "messages"), [(10, 3000), pytest.param(100, 10_000, marks=pytest.mark.long)]
)
def test_many_that_do_not_read(gateway: Gateway, stalled: int, messages: int) -> None:
    with ExitStack() as stack:
        poster = stack.enter_context(Client(gateway.url, project="one"))
        slow = [stack.enter_context(RawClient(gateway.url, project="one")) for _ in range(stalled)]
        for client in slow:
            assert client.request("subscription_create", {"queue_name": "news"})["headers"]["status"] == 201
        other = Listener(stack.enter_context(Client(gateway.url, project="one")), messages)
        peak = Peak(gateway.pid)
        post_numbers(poster, 0, messages)
        other.join(300)
        assert other.heard == list(range(messages))
        assert peak.growth() < STALLED_GROWTH
        for client in slow:
            heard = [client.receive_document()["body"]["n"] for _ in range(messages)]
            assert heard == list(range(messages))
        assert peak.growth() < STALLED_GROWTH


def test_a_client_that_sends_and_does_not_read(gateway: Gateway) -> None:
    with Client(gateway.url, project="one") as other, RawClient(gateway.url, project="one") as slow:
        (message_id,) = post(other, "jobs", BODY * 5)
        request = {"queue_name": "jobs", "message_id": message_id}
        for _ in range(500):
            assert slow.request("message_get", request)["headers"]["status"] == 200
        peak = Peak(gateway.pid)

        def send_all() -> None:
            for number in range(REQUESTS):
                slow.headers["User-Agent"] = f"number {number}"
                slow.send_request("message_get", request)

        sender = threading.Thread(target=send_all, daemon=True)
        sender.start()
        answered: list[float] = []

        def stands_still() -> bool:
            done(other.request("message_list", {"queue_name": "jobs"}), 200)  # the others go on
            line = 'zaqar_gateway_requests_total{action="message_get",status="200"}'
            answered.append(counted(gateway, line) - 500)
            return len(answered) > 10 and answered[-1] == answered[-10] > 0

        wait_until(stands_still, timeout=60, interval=0.02)
        assert answered[-1] < REQUESTS
        assert peak.growth() < GROWTH
        for number in range(REQUESTS):
            reply = slow.receive_document()
            assert reply["request"]["headers"]["User-Agent"] == f"number {number}"
            assert reply["headers"]["status"] == 200
        sender.join(30)
        assert not sender.is_alive()
        assert peak.growth() < GROWTH

"""Streaming claims through real faults: every message is worked on, and no two sockets hold one at a time."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from protocol.extension import SUBPROTOCOL
from storage.catalog.engine import sqlite_url
from tests.faults.nodes import shared
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway
from tests.support.proxy import Proxy
from tests.support.reactor import wait_until
from tests.support.servers import Server

QUEUE = "jobs"
COUNT = 300
BROKEN = (WebSocketException, OSError, TimeoutError, EOFError)
"""What a client meets whose gateway dies."""


class Worker(threading.Thread):
    """Acknowledges what it gets; when its socket breaks it goes on elsewhere with its claim."""

    def __init__(self, urls: Callable[[], list[str]], number: int) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.urls = urls
        self.number = number
        self.got: list[tuple[int, int]] = []
        """Body and claim count of each message that was pushed to it."""
        self.done: set[int] = set()
        self.perhaps: set[int] = set()
        """Bodies of messages whose deletion was asked for, and may have been answered by nobody."""
        self.ending = False
        self.most = 0
        self.claim_id: str | None = None

    def run(self) -> None:
        """Work until it is told to end."""
        turn = self.number
        while not self.ending:
            urls = self.urls()
            turn += 1
            url = urls[turn % len(urls)]
            with suppress(*BROKEN), Client(url, project="p", subprotocol=SUBPROTOCOL, timeout=5) as client:
                self.work(client)
            time.sleep(0.05)

    def work(self, client: Client) -> None:
        """Subscribe, and acknowledge one by one."""
        body: dict[str, object] = {"queue_name": QUEUE, "credit": 5, "ttl": 60}
        if self.claim_id is not None:
            body["claim_id"] = self.claim_id
        reply = client.request("claim_subscribe", body)
        if reply.status != 201:
            return
        self.claim_id = reply.body["claim_id"]
        while not self.ending:
            with suppress(TimeoutError):
                client.notifications.append(client.receive(0.2))
            while client.notifications:
                event = client.notifications.pop(0)
                if event["event"] == "claim_ended":
                    return
                self.most = max(self.most, len(event["messages"]))
                for message in event["messages"]:
                    self.got.append((message["body"], message["claim_count"]))
                    fields = {"queue_name": QUEUE, "message_id": message["id"], "claim_id": self.claim_id}
                    self.perhaps.add(message["body"])
                    answer = client.request("message_delete", fields)
                    if answer.status == 204:
                        self.done.add(message["body"])
                    elif answer.status == 503:
                        return  # its own credit is not known: come back


def work_through(
    gateways: Callable[[], list[Gateway]], fault: Callable[[int], None], *, workers: int = 4
) -> None:
    """Post COUNT messages to workers, with a fault every 60; all of them have to be done."""
    crew = [Worker(lambda: [gateway.url for gateway in gateways()], number) for number in range(workers)]
    for worker in crew:
        worker.start()
    try:
        for number in range(COUNT):
            post(gateways, number)
            if number % 60 == 30:
                fault(number)

        def all_done() -> bool:
            done = set().union(*(worker.done for worker in crew))
            perhaps = set().union(*(worker.perhaps for worker in crew))
            # A node that is killed may have deleted a message and not have said so.
            return done >= set(range(COUNT)) or (perhaps >= set(range(COUNT)) and left(gateways) == 0)

        wait_until(all_done, timeout=90, message="not all was done", interval=0.05)
    finally:
        for worker in crew:
            worker.ending = True
        for worker in crew:
            worker.join(10)
    leases: dict[tuple[int, int], set[int]] = defaultdict(set)
    for worker in crew:
        assert worker.most <= 5
        for lease in worker.got:
            leases[lease].add(worker.number)
    assert all(len(holders) == 1 for holders in leases.values()), "one lease, two holders"


def left(gateways: Callable[[], list[Gateway]]) -> int | None:
    """How many messages there are; None: nobody says."""
    with suppress(*BROKEN), Client(gateways()[0].url, project="p", timeout=5) as client:
        reply = client.request("queue_get_stats", {"queue_name": QUEUE})
        return int(reply.body["messages"]["total"]) if reply.status == 200 else None
    return None


def post(gateways: Callable[[], list[Gateway]], number: int) -> None:
    """Post a message; again if it may not have been stored."""

    def stored() -> bool:
        with suppress(*BROKEN), Client(gateways()[0].url, project="p", timeout=5) as client:
            body = {"queue_name": QUEUE, "messages": [{"body": number, "ttl": 3600}]}
            return client.request("message_post", body).status == 201
        return False

    wait_until(stored, timeout=30)


@pytest.fixture
def gateway(proxy: Proxy, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose store is behind the proxy."""
    with start_gateway(tmp_path / "data", "--redis-url", proxy.url, "--lease-grace", "1") as gateway:
        yield gateway


@pytest.mark.timeout(200)
def test_announcements_cut(gateway: Gateway, store: Server) -> None:
    admin = store.client()

    def fault(_: int) -> None:
        wait_until(lambda: admin.client_kill_filter(_type="pubsub") > 0)

    work_through(lambda: [gateway], fault)


@pytest.mark.timeout(200)
def test_all_connections_to_the_store_cut(gateway: Gateway, proxy: Proxy) -> None:
    def fault(_: int) -> None:
        wait_until(lambda: proxy.connections >= 2)
        proxy.break_connections()

    work_through(lambda: [gateway], fault)


@pytest.mark.timeout(200)
def test_store_killed_and_restarted(gateway: Gateway, store: Server) -> None:
    def fault(_: int) -> None:
        store.kill()
        store.restart()

    work_through(lambda: [gateway], fault)


@pytest.mark.timeout(300)
def test_nodes_killed(store: Server, tmp_path: Path) -> None:
    settings = (*shared(store, sqlite_url(tmp_path / "catalog.sqlite")), "--lease-grace", "1")
    with ExitStack() as stack:

        def start(number: int) -> Gateway:
            return stack.enter_context(start_gateway(tmp_path / f"node{number}", *settings))

        nodes = [start(0), start(1)]

        def fault(number: int) -> None:
            nodes[1].kill()
            nodes[1] = start(number + 2)

        work_through(lambda: nodes, fault)
        with Client(nodes[0].url, project="p") as client:
            stats = done(client.request("queue_get_stats", {"queue_name": QUEUE}), 200)
            assert stats["messages"]["total"] == 0


def test_a_node_that_stops_lets_its_leases_lapse(store: Server, tmp_path: Path) -> None:
    with ExitStack() as stack:
        settings = (*shared(store, sqlite_url(tmp_path / "catalog.sqlite")), "--lease-grace", "15")
        one, other = [stack.enter_context(start_gateway(tmp_path / name, *settings)) for name in ("a", "b")]
        watcher = stack.enter_context(Client(other.url, project="p"))
        with Client(one.url, project="p", subprotocol=SUBPROTOCOL) as worker:
            body = {"queue_name": QUEUE, "credit": 5, "ttl": 600}
            claim_id = done(worker.request("claim_subscribe", body), 201)["claim_id"]
            done(
                worker.request("message_post", {"queue_name": QUEUE, "messages": [{"body": 1}]}),
                201,
            )
            worker.wait_notifications(1)
            one.stop()
        held = watcher.request("claim_get", {"queue_name": QUEUE, "claim_id": claim_id})
        assert done(held, 200)["ttl"] < 20, "the grace, and not the ttl"
        assert len(held.body["messages"]) == 1, "it waits for its client"
        with Client(other.url, project="p", subprotocol=SUBPROTOCOL) as again:
            body = {"queue_name": QUEUE, "credit": 5, "claim_id": claim_id}
            assert done(again.request("claim_subscribe", body), 201)["held"] == 1
            again.wait_notifications(1)

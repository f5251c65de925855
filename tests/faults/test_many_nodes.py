"""Subscribers on several nodes: each hears, once and in order, what is posted on any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.broadcast import QUEUE, broadcast
from tests.faults.nodes import shared
from tests.support.client import Client
from tests.support.databases import DatabaseServer
from tests.support.expect import done
from tests.support.gateway import ROOT, Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_redis, start_valkey


class Service:
    """Two gateways on one store and one catalog."""

    def __init__(self, gateways: list[Gateway], store: Server, settings: tuple[str, ...]) -> None:
        self.gateways = gateways
        self.store = store
        self.settings = settings


@pytest.fixture
def service(mariadb: DatabaseServer, tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        store = stack.enter_context(start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always"))
        url = stack.enter_context(mariadb.database())
        settings = shared(store, url)
        gateways = [
            stack.enter_context(start_gateway(tmp_path / f"node{number}", *settings)) for number in range(2)
        ]
        yield Service(gateways, store, settings)


def test_announcements_are_lost(service: Service) -> None:
    admin = service.store.client()

    def fault() -> None:
        wait_until(lambda: admin.client_kill_filter(_type="pubsub") > 0)

    assert broadcast(service.gateways, 400, every=20, fault=fault) == 400


def test_a_node_that_does_not_hear_announcements_in_time(service: Service) -> None:
    """`client-output-buffer-limit`: the store cuts off a listener for whom too much waits."""
    admin = service.store.client()
    admin.config_set("client-output-buffer-limit", "pubsub 65536 0 0")
    sender, stalled = service.gateways
    with Client(sender.url, project="one") as poster, Client(stalled.url, project="one") as listener:
        done(listener.request("subscription_create", {"queue_name": QUEUE}), 201)
        os.kill(stalled.pid, signal.SIGSTOP)
        try:
            posted = 0
            while not admin.info("stats")["client_output_buffer_limit_disconnections"]:
                body = {"queue_name": QUEUE, "messages": [{"body": [posted, "x" * 3000]}]}
                done(poster.request("message_post", body), 201)
                posted += 1
                assert posted < 5000
        finally:
            os.kill(stalled.pid, signal.SIGCONT)
        heard = [told["body"][0] for told in listener.wait_notifications(posted, timeout=30)]
        assert heard == list(range(posted))


def test_the_store_dies(service: Service) -> None:
    def fault() -> None:
        service.store.kill()
        service.store.restart()

    assert broadcast(service.gateways, 300, every=100, fault=fault) > 0


def test_the_queue_moves(service: Service, tmp_path: Path) -> None:
    """Requests wait for a moment, and every subscriber follows."""
    pools = ["second", "default"]

    def fault() -> None:
        to, *_ = pools
        pools.reverse()
        command = [sys.executable, "-m", "gateway", "queue", "move", QUEUE, "--to", to, *service.settings]
        moved = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert moved.returncode == 0, moved.stderr

    with start_redis(tmp_path / "second") as second, Client(service.gateways[0].url) as client:
        pool = {"pool_name": "second", "weight": 0, "uri": second.url}
        done(client.request("pool_create", pool), 201)
        assert broadcast(service.gateways, 200, every=50, fault=fault) == 200


def test_a_node_that_dies_takes_only_its_own_sockets_with_it(service: Service) -> None:
    survivor, victim = service.gateways
    with Client(survivor.url, project="one") as listener, Client(victim.url, project="one") as lost:
        for client in (listener, lost):
            done(client.request("subscription_create", {"queue_name": "q"}), 201)
        posted = []
        for number in range(50):
            if number == 25:
                victim.kill()
            body = {"queue_name": "q", "messages": [{"body": number}]}
            done(listener.request("message_post", body), 201)
            posted.append(number)
        assert [told["body"] for told in listener.wait_notifications(50)] == posted

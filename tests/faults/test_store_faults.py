"""A store that is away, slow, full or read-only costs the requests that need it a 503, and nothing else.

The gateway is never restarted here: it comes back by itself when its store does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import all_messages
from tests.faults.ready import get, readiness, wait_ready
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.proxy import Proxy
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_redis, start_valkey

TIMEOUT = ("--request-timeout", "2")

CLAIM_ID = "5f0c0d52-1d2f-4f4c-8d0b-6f6a2cf8a3a1"
MESSAGE_ID = "070a186c-006c-46aa-952a-2f4f090dc1f6"

Requests = list[tuple[str, dict[str, Any]]]

READS: Requests = [
    ("message_list", {}),
    ("queue_get_stats", {}),
    ("claim_get", {"claim_id": CLAIM_ID}),
    ("subscription_list", {}),
]
WRITES: Requests = [
    ("message_post", {"messages": [{"body": "never"}]}),
    ("claim_create", {}),
    ("claim_update", {"claim_id": CLAIM_ID}),
    ("claim_delete", {"claim_id": CLAIM_ID}),
    ("message_delete_many", {"pop": 1}),
    ("subscription_create", {"subscriber": "http://example.org/", "ttl": 600}),
    ("queue_purge", {}),
]


@pytest.fixture
def gateway(proxy: Proxy, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose store is behind the proxy."""
    with start_gateway(tmp_path / "data", "--redis-url", proxy.url, *TIMEOUT) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    """A socket that is open before the fault, and after it; its queue holds one message."""
    with Client(gateway.url, project="one") as client:
        post(client, "jobs", "before")
        yield client


def refused(client: Client, action: str, body: dict[str, Any], *codes: str) -> None:
    """The request gets a 503 with one of these codes, on a connection that stays open."""
    reply = client.request(action, {"queue_name": "jobs", **body})
    assert reply.status == 503, (action, reply.document)
    assert reply.body["code"] in codes, (action, reply.body)


def everything_else_goes_on(gateway: Gateway, client: Client) -> None:
    """What does not need the message store, on old sockets and new ones, and plain HTTP."""
    assert get(gateway, "/healthz")[0] == 200
    assert get(gateway, "/metrics")[0] == 200
    with Client(gateway.url, project="one") as other:
        for each in (client, other):
            assert done(each.request("queue_list", {}), 200)["queues"] == [{"name": "jobs"}]
            done(each.request("queue_get", {"queue_name": "jobs"}), 200)
            done(each.request("get_home_doc", {}), 200)


def recovered(gateway: Gateway, client: Client, *bodies: str) -> None:
    """The same gateway works again, on the same socket; these messages are there and no others."""
    wait_ready(gateway)
    assert [message["body"] for message in all_messages(client, "jobs")] == list(bodies)
    post(client, "jobs", "after")
    claim = done(client.request("claim_create", {"queue_name": "jobs", "limit": 20}), 201)
    assert [message["body"] for message in claim["messages"]] == [*bodies, "after"]


def test_down_and_back(store: Server, gateway: Gateway, client: Client) -> None:
    store.kill()
    wait_ready(gateway, 503)
    assert readiness(gateway)["store"]["code"] == "store_unavailable"
    for action, body in READS + WRITES:
        refused(client, action, body, "store_unavailable")
    everything_else_goes_on(gateway, client)
    store.restart()
    recovered(gateway, client, "before")


def test_loading(gateway: Gateway, client: Client, store: Server, request: pytest.FixtureRequest) -> None:
    keys = store.client()
    for number in range(200):
        keys.set(f"filler-{number}", os.urandom(1000))
    keys.config_set("appendonly", "no")
    keys.save()
    keys.close()
    store.kill()
    start = start_valkey if request.node.callspec.params["store"] == "valkey" else start_redis
    started: list[Server] = []

    def start_slowly() -> None:
        # 200 keys of 100 ms each; after every few of them it looks at its sockets.
        slow = {"key_load_delay": "100000", "loading_process_events_interval_bytes": "1024"}
        started.append(start(store.folder, tcp=False, **slow))

    starting = threading.Thread(target=start_slowly)
    starting.start()
    try:
        wait_until(lambda: readiness(gateway)["store"].get("code") == "store_loading")
        assert get(gateway, "/readyz")[0] == 503
        for action, body in READS[:1] + WRITES[:1]:
            refused(client, action, body, "store_loading", "store_unavailable")
        everything_else_goes_on(gateway, client)
    finally:
        store.client().config_set("key-load-delay", "0")
        starting.join(30)
    with started[0]:
        recovered(gateway, client, "before")


def test_full(gateway: Gateway, client: Client, store: Server, tmp_path: Path) -> None:
    kept = post(client, "jobs", "kept")
    admin = store.client()
    admin.config_set("maxmemory", "1mb")
    for action, body in [WRITES[0], WRITES[1], WRITES[5]]:
        refused(client, action, body, "store_full")
    # Reading and freeing go on, and so does a gateway that is started now.
    done(client.request("queue_get_stats", {"queue_name": "jobs"}), 200)
    done(client.request("message_delete", {"queue_name": "jobs", "message_id": kept[0]}), 204)
    assert [message["body"] for message in all_messages(client, "jobs")] == ["before"]
    everything_else_goes_on(gateway, client)
    with start_gateway(tmp_path / "second", "--redis-url", store.url, *TIMEOUT) as second:
        assert get(second, "/healthz")[0] == 200
    admin.config_set("maxmemory", "0")
    recovered(gateway, client, "before")


def test_read_only_replica(gateway: Gateway, client: Client, store: Server) -> None:
    admin = store.client()
    admin.replicaof("127.0.0.1", "1")
    wait_ready(gateway, 503)
    assert readiness(gateway)["store"]["role"] == "replica"
    for action, body in WRITES:
        refused(client, action, body, "store_read_only")
    everything_else_goes_on(gateway, client)
    admin.replicaof("NO", "ONE")
    recovered(gateway, client, "before")


def test_scripts_flushed(gateway: Gateway, client: Client, store: Server) -> None:
    admin = store.client()
    bodies = ["before"]
    for number in range(50):
        admin.script_flush()
        post(client, "jobs", f"flushed-{number}")
        bodies.append(f"flushed-{number}")
    assert [message["body"] for message in all_messages(client, "jobs")] == bodies
    assert get(gateway, "/readyz")[0] == 200


def test_stalled(gateway: Gateway, client: Client, store: Server) -> None:
    os.kill(store.pid, signal.SIGSTOP)
    try:
        refused(client, *WRITES[0], "outcome_unknown")
        for action, body in [READS[0], WRITES[3]]:
            refused(client, action, body, "outcome_unknown", "store_unavailable")
        assert get(gateway, "/readyz")[0] == 503
        everything_else_goes_on(gateway, client)
    finally:
        os.kill(store.pid, signal.SIGCONT)
    # The post was sent, and its outcome said to be unknown: it is done when the store goes on.
    recovered(gateway, client, "before", "never")


def test_connections_cut(gateway: Gateway, client: Client, proxy: Proxy) -> None:
    proxy.cut()
    wait_ready(gateway, 503)
    for action, body in READS + WRITES:
        refused(client, action, body, "store_unavailable")
    everything_else_goes_on(gateway, client)
    proxy.heal()
    recovered(gateway, client, "before")


def test_connections_half_open(gateway: Gateway, client: Client, proxy: Proxy) -> None:
    """What the gateway sends arrives, the answers do not: each thing is done once and its outcome unknown."""
    proxy.swallow_answers()
    refused(client, *WRITES[0], "outcome_unknown")
    assert get(gateway, "/readyz")[0] == 503
    everything_else_goes_on(gateway, client)
    proxy.heal()
    recovered(gateway, client, "before", "never")


def test_a_stalled_connection_is_given_up(gateway: Gateway, client: Client, proxy: Proxy) -> None:
    proxy.stall()
    refused(client, *WRITES[0], "outcome_unknown")
    refused(client, *READS[0], "outcome_unknown", "store_unavailable")
    everything_else_goes_on(gateway, client)
    # Those that were stalled never go on; the gateway has to make new ones.
    proxy.cut()
    proxy.heal()
    recovered(gateway, client, "before")

"""A request whose answer from the store is lost: repeated where that does no harm, else unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import all_messages
from tests.support.client import Client
from tests.support.expect import claim, done, post
from tests.support.gateway import start_gateway
from tests.support.proxy import Proxy
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_valkey


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with start_valkey(tmp_path / "store") as server:
        yield server


@pytest.fixture
def client(proxy: Proxy, tmp_path: Path) -> Iterator[Client]:
    """A client of a gateway that runs no scripts but those of its requests."""
    arguments = ("--redis-url", proxy.url, "--sweep-interval", "3600")
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Client(gateway.url, project="one") as client,
    ):
        _load_scripts(client)
        yield client


def _load_scripts(client: Client) -> None:
    """Have the store know the scripts: else what is lost is its answer that it does not."""
    ids = post(client, "other", "one", "two")
    requests: list[tuple[str, dict[str, Any]]] = [
        ("message_delete", {"message_id": ids[0]}),
        ("claim_create", {}),
        ("message_delete_many", {"pop": 1}),
        ("message_list", {}),
        ("subscription_create", {"subscriber": "http://example.org/"}),
    ]
    for action, body in requests:
        assert client.request(action, {"queue_name": "other", **body}).status < 300


def send_and_lose_answer(
    client: Client, proxy: Proxy, store: Server, action: str, body: dict[str, Any]
) -> None:
    """Send a request, and break its connection when the store has done it and before the gateway knows."""
    admin = store.client()
    before = _scripts_run(admin)
    proxy.swallow_answers()
    client.send(action, {"queue_name": "jobs", **body})
    wait_until(lambda: _scripts_run(admin) > before)
    proxy.cut()


def _scripts_run(admin: Any) -> int:
    stats = admin.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


def test_a_claim_is_handed_out_once(client: Client, proxy: Proxy, store: Server) -> None:
    ids = post(client, "jobs", "one", "two", "three")
    send_and_lose_answer(client, proxy, store, "claim_create", {"limit": 2})
    proxy.heal()
    first = done(client.receive_reply(), 201)
    assert [message["id"] for message in first["messages"]] == ids[:2]
    # No second claim holds the messages that the lost answer named.
    assert [message["id"] for message in claim(client, "jobs")["messages"]] == ids[2:]


def test_a_delete_is_done(client: Client, proxy: Proxy, store: Server) -> None:
    post(client, "jobs", "one", "two")
    held = claim(client, "jobs", limit=1)
    request = {"message_id": held["messages"][0]["id"], "claim_id": held["claim_id"]}
    send_and_lose_answer(client, proxy, store, "message_delete", request)
    proxy.heal()
    done(client.receive_reply(), 204)
    assert [message["body"] for message in all_messages(client, "jobs")] == ["two"]


def test_a_list_is_read_again(client: Client, proxy: Proxy, store: Server) -> None:
    post(client, "jobs", "one")
    send_and_lose_answer(client, proxy, store, "message_list", {"echo": True})
    proxy.heal()
    assert [message["body"] for message in done(client.receive_reply(), 200)["messages"]] == ["one"]


def test_a_subscription_is_made_once(client: Client, proxy: Proxy, store: Server) -> None:
    request = {"subscriber": "http://example.org/"}
    post(client, "jobs", "one")
    send_and_lose_answer(client, proxy, store, "subscription_create", request)
    proxy.heal()
    made = done(client.receive_reply(), 201)
    # It was found again by the second attempt, not refused as somebody else's.
    listed = done(client.request("subscription_list", {"queue_name": "jobs"}), 200)["subscriptions"]
    assert [subscription["id"] for subscription in listed] == [made["subscription_id"]]
    assert client.request("subscription_create", {"queue_name": "jobs", **request}).status == 409


@pytest.mark.parametrize(
    ("action", "body", "left"),
    [
        ("message_post", {"messages": [{"body": "new"}]}, ["one", "new"]),
        ("message_delete_many", {"pop": 1}, []),
    ],
)
def test_what_may_not_be_repeated_is_not(
    client: Client, proxy: Proxy, store: Server, action: str, body: dict[str, Any], left: list[str]
) -> None:
    post(client, "jobs", "one")
    send_and_lose_answer(client, proxy, store, action, body)
    proxy.heal()
    reply = client.receive_reply()
    assert (reply.status, reply.body["code"]) == (503, "outcome_unknown")
    wait_until(lambda: client.request("message_list", {"queue_name": "jobs"}).status == 200)
    assert [message["body"] for message in all_messages(client, "jobs")] == left


def test_the_outcome_stays_unknown_where_the_second_attempt_fails(
    client: Client, proxy: Proxy, store: Server
) -> None:
    """The store did it. That there is no connection now must not tell the client that nothing was done."""
    ids = post(client, "jobs", "one")
    send_and_lose_answer(client, proxy, store, "message_delete", {"message_id": ids[0]})
    reply = client.receive_reply()
    assert (reply.status, reply.body["code"]) == (503, "outcome_unknown")
    proxy.heal()
    wait_until(lambda: client.request("message_list", {"queue_name": "jobs"}).status == 200)
    assert all_messages(client, "jobs") == []

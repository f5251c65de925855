"""Posts that wait behind each other are stored together, and answered as if each had been alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.load import all_messages
from tests.support.client import Client, Reply
from tests.support.gateway import Gateway, start_gateway
from tests.support.servers import Server, start_valkey

ALICE, BOB = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_valkey(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def own(store: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose store nobody else uses."""
    arguments = ("--redis-url", store.url, "--max-messages-per-post", "20")
    with start_gateway(tmp_path_factory.mktemp("own") / "data", *arguments) as gateway:
        yield gateway


def scripts_run(store: Server) -> int:
    """Scripts that the store has run so far."""
    found = store.client().info("commandstats")
    return int(found.get("cmdstat_evalsha", {"calls": 0})["calls"])


def send_all(client: Client, requests: list[tuple[str, dict[str, Any], str]]) -> list[Reply]:
    """Send without waiting, then read all replies."""
    for action, body, client_id in requests:
        client.send(action, body, {"Client-ID": client_id})
    return [client.receive_reply() for _ in requests]


def post(
    *bodies: Any, queue: str = "q", client_id: str = ALICE, **more: Any
) -> tuple[str, dict[str, Any], str]:
    messages = [{"body": body, **more} for body in bodies]
    return "message_post", {"queue_name": queue, "messages": messages}, client_id


def test_many_posts_cost_few_scripts(own: Gateway, store: Server) -> None:
    with Client(own.url) as client:
        send_all(client, [post("first")])
        before = scripts_run(store)
        replies = send_all(client, [post(number) for number in range(200)])
        assert scripts_run(store) - before < 100
        assert [reply.status for reply in replies] == [201] * 200
        ids = [reply.body["message_ids"][0] for reply in replies]
        listed = all_messages(client, "q")[1:]
        assert [(message["id"], message["body"]) for message in listed] == list(
            zip(ids, range(200), strict=True)
        )


def test_each_is_answered_for_itself(own: Gateway) -> None:
    requests = [
        post(1),
        post(2, 3),
        post(4, ttl=1),
        post(5, queue="other"),
        post(*range(21)),
        post(6),
        ("message_post", {"queue_name": "q"}, ALICE),
        post(7, client_id=BOB),
        post(*range(100, 119)),
        post(8, 9),
        ("message_post", {"queue_name": "not a name", "messages": []}, ALICE),
        post(10, client_id="nobody"),
        post(11),
    ]
    with Client(own.url) as client:
        replies = send_all(client, [post(0), *requests])[1:]
        statuses = [reply.status for reply in replies]
        assert statuses == [201, 201, 400, 201, 400, 201, 400, 201, 201, 201, 400, 400, 201]
        counts = [len(reply.body["message_ids"]) for reply in replies if reply.status == 201]
        assert counts == [1, 2, 1, 1, 1, 19, 2, 1]
        assert all(
            reply.request["body"] == request[1] for reply, request in zip(replies, requests, strict=True)
        )
        found = [message["body"] for message in all_messages(client, "q")]
        assert found == [0, 1, 2, 3, 6, 7, *range(100, 119), 8, 9, 11]


def test_a_store_that_is_full_refuses_all(tmp_path: Path) -> None:
    with (
        start_valkey(tmp_path / "store") as store,
        start_gateway(tmp_path / "data", "--redis-url", store.url) as gateway,
        Client(gateway.url) as client,
    ):
        send_all(client, [post(0)])
        store.client().config_set("maxmemory", "1")
        replies = send_all(client, [post(number) for number in range(20)])
        assert {(reply.status, reply.body["code"]) for reply in replies} == {(503, "store_full")}
        store.client().config_set("maxmemory", "0")
        assert send_all(client, [post(1)])[0].status == 201


bodies = st.lists(st.integers(0, 9), max_size=22)
posts = st.builds(
    lambda values, queue, who, more: post(*values, queue=queue, client_id=who, **more),
    bodies,
    st.sampled_from(["q", "q", "q", "r"]),
    st.sampled_from([ALICE, ALICE, ALICE, BOB, "nobody"]),
    st.sampled_from([{}, {}, {"ttl": 100}, {"ttl": 1}, {"ttl": "x"}, {"delay": 900}]),
)
others = st.sampled_from(
    [
        ("message_list", {"queue_name": "q", "echo": True, "limit": 20}, ALICE),
        ("queue_get_stats", {"queue_name": "q"}, ALICE),
        ("message_delete_many", {"queue_name": "q", "pop": 2}, ALICE),
        ("nothing", {}, ALICE),
    ]
)


def shown(replies: list[Reply]) -> list[Any]:
    """What replies say, but for what is another each time."""
    return [(reply.status, _shown(reply.body)) for reply in replies]


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _shown(each)
            for key, each in value.items()
            if key not in ("id", "message_ids", "marker", "age", "created", "claim_id", "exception")
        } | ({"count": len(value["message_ids"])} if "message_ids" in value else {})
    return [_shown(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=60)
@given(st.lists(posts | others, max_size=30))
def test_pipelined_or_not_the_same_comes_of_it(
    own: Gateway, requests: list[tuple[str, dict[str, Any], str]]
) -> None:
    with Client(own.url) as quick, Client(own.url) as patient:
        for client in (quick, patient):
            for queue in ("q", "r"):
                send_all(client, [("queue_create", {"queue_name": queue}, ALICE)])
        together = send_all(quick, requests)
        alone = [send_all(patient, [request])[0] for request in requests]
        assert shown(together) == shown(alone)
        for queue in ("q", "r"):
            left = [[message["body"] for message in all_messages(each, queue)] for each in (quick, patient)]
            assert left[0] == left[1]

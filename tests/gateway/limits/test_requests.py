"""Requests that come too fast, on a running gateway."""

from __future__ import annotations

import time
from typing import Any

from protocol.extension import SUBPROTOCOL
from tests.gateway.limits.conftest import Start
from tests.support.client import Client, Reply
from tests.support.expect import done
from tests.support.metrics import value
from tests.support.reactor import wait_until

FEW = ("--request-burst", "3")
ASKED = 40


def flood(client: Client) -> tuple[list[Reply], float]:
    """Many requests at once; their replies, and how long all of it took."""
    began = time.monotonic()
    for _ in range(ASKED):
        client.send("queue_get", {"queue_name": "q"})
    return [client.receive_reply() for _ in range(ASKED)], time.monotonic() - began


def post_at_once(client: Client) -> list[Reply]:
    for n in range(ASKED):
        client.send("message_post", {"queue_name": "q", "messages": [{"body": n}]})
    return [client.receive_reply() for _ in range(ASKED)]


def refusals(replies: list[Reply]) -> list[Any]:
    """The bodies of those that came too fast; all others were done."""
    assert {reply.status for reply in replies} <= {200, 201, 429}
    return [reply.body for reply in replies if reply.status == 429]


def test_a_socket_that_sends_too_fast_is_told_when_to_come_back(start: Start) -> None:
    gateway = start("--max-requests-per-second", "1", *FEW)
    with Client(gateway.url) as client, Client(gateway.url, project=client.project) as other:
        replies, seconds = flood(client)
        refused = refusals(replies)
        assert 3 <= ASKED - len(refused) <= 3 + seconds + 1
        assert all(body["code"] == "too_many_requests" and 0 < body["retry_after"] <= 1 for body in refused)
        assert value(gateway, "refused_total", limit="max_requests_per_second") == len(refused)
        assert value(gateway, "requests_total", action="queue_get", status="429") == len(refused)
        # It passes when its time has come, on the same socket; another socket has its own.
        assert done(other.request("queue_get", {"queue_name": "q"}), 200) == {}
        wait_until(lambda: client.request("queue_get", {"queue_name": "q"}).status == 200)


def test_posts_that_wait_behind_each_other_count_one_by_one(start: Start) -> None:
    gateway = start("--max-requests-per-second", "1", *FEW)
    with Client(gateway.url) as client, Client(gateway.url, project=client.project) as other:
        replies = post_at_once(client)
        stored = [reply.body["message_ids"][0] for reply in replies if reply.status == 201]
        assert 3 <= len(stored) < ASKED
        assert [reply.status for reply in replies[:3]] == [201, 201, 201]
        stats = done(other.request("queue_get_stats", {"queue_name": "q"}), 200)["messages"]
        assert stats["total"] == len(stored)


def test_malformed_frames_count_too(start: Start) -> None:
    gateway = start("--max-requests-per-second", "1", *FEW)
    with Client(gateway.url) as client:
        for _ in range(ASKED):
            client.send_raw("{")
        statuses = [client.receive_reply().status for _ in range(ASKED)]
    assert set(statuses) == {400, 429}
    assert statuses[:3] == [400, 400, 400]


def test_the_sockets_of_a_project_share_its_rate_and_no_other_project_does(start: Start) -> None:
    gateway = start("--max-project-requests-per-second", "1", *FEW)
    with (
        Client(gateway.url, project="a") as first,
        Client(gateway.url, project="a") as second,
        Client(gateway.url, project="b") as other,
    ):
        replies, seconds = flood(first)
        more, further = flood(second)
        refused = refusals(replies + more)
        assert 3 <= 2 * ASKED - len(refused) <= 3 + seconds + further + 1
        assert value(gateway, "refused_total", limit="max_project_requests_per_second") == len(refused)
        assert [done(other.request("queue_get", {"queue_name": "q"}), 200) for _ in range(3)] == [{}] * 3


def test_workers_divide_the_rate_of_a_project(start: Start) -> None:
    gateway = start("--workers", "2", "--max-project-requests-per-second", "2", *FEW)
    with Client(gateway.url) as client:
        replies, seconds = flood(client)
        assert 3 <= ASKED - len(refusals(replies)) <= 3 + seconds + 1


def test_a_refusal_repeats_the_requests_id(start: Start) -> None:
    gateway = start("--max-requests-per-second", "1", "--request-burst", "1")
    with Client(gateway.url, subprotocol=SUBPROTOCOL) as client:
        for n in range(5):
            client.send_raw(
                f'{{"action": "queue_list", "id": {n}, "echo": false, "headers": '
                f'{{"Client-ID": "{client.client_id}", "X-Project-ID": "p"}}}}'
            )
        replies = [client.receive_reply() for _ in range(5)]
        assert [reply.document["id"] for reply in replies] == [0, 1, 2, 3, 4]
        assert 429 in [reply.status for reply in replies]

"""How much a queue may hold, on a running gateway."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.gateway.limits.conftest import Start
from tests.support.client import Client
from tests.support.expect import bodies, done, post, refused
from tests.support.metrics import value
from tests.support.reactor import wait_until


def more(client: Client, queue: str, *values: object) -> dict[str, object]:
    """A post that is one too many; the refusal."""
    messages = [{"body": value} for value in values]
    reply = client.request("message_post", {"queue_name": queue, "messages": messages})
    refused(reply, 413, "The queue may hold")
    assert reply.body["code"] == "queue_full"
    body: dict[str, object] = reply.body
    return body


@pytest.mark.parametrize(
    ("limit", "most"), [("max_queue_messages", 3), ("max_queue_bytes", 3 * (21 + len('"abc"')))]
)
def test_a_full_queue_takes_more_when_something_has_left(start: Start, limit: str, most: int) -> None:
    gateway = start("--" + limit.replace("_", "-"), str(most))
    with Client(gateway.url, project="a") as client, Client(gateway.url, project="b") as other:
        first = post(client, "q", "abc", "def", "ghi")[0]
        more(client, "q", "jkl")
        more(client, "q", "jkl", "mno")
        assert value(gateway, "refused_total", limit=limit) == 2
        assert bodies(client, "q") == ["abc", "def", "ghi"]
        # Another queue has room of its own, and so has a queue of this name in another project.
        post(client, "other", "abc")
        post(other, "q", "abc", "def", "ghi")
        done(client.request("message_delete", {"queue_name": "q", "message_id": first}), 204)
        post(client, "q", "jkl")
        done(client.request("message_delete_many", {"queue_name": "q", "pop": 2}), 200)
        post(client, "q", "mno", "pqr")
        more(client, "q", "stu")


def test_of_posts_that_wait_behind_each_other_those_that_fit_are_stored(start: Start) -> None:
    gateway = start("--max-queue-messages", "5")
    with Client(gateway.url) as client:
        done(client.request("queue_create", {"queue_name": "q"}), 201)
        for n in range(20):
            client.send("message_post", {"queue_name": "q", "messages": [{"body": n}, {"body": n}]})
        statuses = [client.receive_reply().status for _ in range(20)]
        assert statuses == [201, 201, *[413] * 18]
        post(client, "q", 20)
        assert bodies(client, "q") == [0, 0, 1, 1, 20]
        assert value(gateway, "refused_total", limit="max_queue_messages") == 18


def test_a_full_project_takes_more_when_the_sweeper_has_seen_that_something_left(start: Start) -> None:
    gateway = start("--max-project-bytes", str(4 * (21 + 3)), "--sweep-interval", "0.1")

    def post_one(client: Client, queue: str, value: int) -> int:
        body = {"queue_name": queue, "messages": [{"body": value}]}
        reply = client.request("message_post", body)
        if reply.status == 413:
            refused(reply, 413, "The messages of the project may have 96 bytes")
            assert reply.body["code"] == "project_full"
        return reply.status

    with Client(gateway.url, project="a") as client, Client(gateway.url, project="b") as other:
        # What this process has posted is known at once, over all queues of the project.
        assert [post_one(client, f"q{n}", 100) for n in range(6)] == [201] * 4 + [413] * 2
        assert value(gateway, "refused_total", limit="max_project_bytes") == 2
        assert post_one(other, "q0", 100) == 201
        # No queue was created for what was refused.
        assert len(done(client.request("queue_list", {}), 200)["queues"]) == 4
        done(client.request("queue_delete", {"queue_name": "q0"}), 204)
        done(client.request("queue_purge", {"queue_name": "q1"}), 204)
        wait_until(lambda: post_one(client, "q2", 100) == 201)
        wait_until(lambda: post_one(client, "q2", 100) == 201)
        assert post_one(client, "q2", 100) == 413


def test_other_processes_hear_of_a_full_project(start: Start) -> None:
    gateway = start("--workers", "2", "--max-project-bytes", "1000", "--sweep-interval", "0.1")
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(gateway.url, project="a")) for _ in range(12)]
        post(clients[0], "q", "x" * 970)
        body = {"queue_name": "q", "messages": [{"body": "y" * 20}]}

        def all_are_refused() -> bool:
            return {client.request("message_post", body).status for client in clients} == {413}

        wait_until(all_are_refused)

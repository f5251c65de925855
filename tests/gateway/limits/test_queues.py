"""How much a queue may hold, on a running gateway."""

from __future__ import annotations

import pytest

from tests.gateway.limits.conftest import Start
from tests.support.client import Client
from tests.support.expect import bodies, done, post, refused
from tests.support.metrics import value


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

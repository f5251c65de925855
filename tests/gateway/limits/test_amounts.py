"""How much a socket and a project may have, on a running gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.limits.conftest import Start
from tests.support.client import Client
from tests.support.expect import bodies, done, post, refused
from tests.support.gateway import Gateway
from tests.support.metrics import value
from tests.support.reactor import wait_until


def subscribe(client: Client, queue: str) -> Any:
    return client.request("subscription_create", {"queue_name": queue})


def queue_names(client: Client) -> list[str]:
    listed = done(client.request("queue_list", {}), 200)
    return [queue["name"] for queue in listed["queues"]]


def test_a_socket_with_as_many_subscriptions_as_it_may_have(start: Start) -> None:
    gateway = start("--max-subscriptions-per-socket", "2")
    with Client(gateway.url) as client, Client(gateway.url, project=client.project) as other:
        first = done(subscribe(client, "a"), 201)["subscription_id"]
        done(subscribe(client, "b"), 201)
        refusal = subscribe(client, "c")
        refused(refusal, 400, "2 subscriptions")
        assert refusal.body["code"] == "too_many_subscriptions"
        assert value(gateway, "refused_total", limit="max_subscriptions_per_socket") == 1
        # No queue was created for it; another socket has its own; a URL is no socket's.
        assert queue_names(client) == ["a", "b"]
        done(subscribe(other, "c"), 201)
        done(
            client.request("subscription_create", {"queue_name": "c", "subscriber": "http://example.com/"}),
            201,
        )
        done(client.request("subscription_delete", {"queue_name": "a", "subscription_id": first}), 204)
        # The socket hears of the end by the store's announcement.
        wait_until(lambda: subscribe(client, "d").status == 201)


@pytest.fixture
def two_queues(start: Start) -> Gateway:
    return start("--max-queues-per-project", "2")


CREATING: dict[str, dict[str, Any]] = {
    "queue_create": {"queue_name": "third"},
    "message_post": {"queue_name": "third", "messages": [{"body": 1}]},
    "subscription_create": {"queue_name": "third"},
}


def test_a_project_with_as_many_queues_as_it_may_have(two_queues: Gateway) -> None:
    with Client(two_queues.url, project="a") as client, Client(two_queues.url, project="b") as other:
        done(client.request("queue_create", {"queue_name": "first"}), 201)
        post(client, "second", 1)
        for action, body in CREATING.items():
            refusal = client.request(action, body)
            refused(refusal, 403, "2 queues")
            assert refusal.body["code"] == "too_many_queues"
        assert value(two_queues, "refused_total", limit="max_queues_per_project") == len(CREATING)
        # What is there goes on, and another project has room of its own.
        assert queue_names(client) == ["first", "second"]
        done(client.request("queue_create", {"queue_name": "first"}), 204)
        post(client, "second", 2)
        assert queue_names(other) == []
        done(other.request("queue_create", {"queue_name": "third"}), 201)
        done(client.request("queue_delete", {"queue_name": "first"}), 204)
        done(client.request("queue_create", {"queue_name": "third"}), 201)


def test_posts_that_wait_behind_each_other_are_each_refused(two_queues: Gateway) -> None:
    with Client(two_queues.url) as client:
        for name in ("first", "second"):
            post(client, name, 1)
        for n in range(5):
            client.send("message_post", {"queue_name": "third", "messages": [{"body": n}]})
        assert [client.receive_reply().status for _ in range(5)] == [403] * 5


def test_a_dead_letter_queue_is_created_all_the_same(two_queues: Gateway) -> None:
    dead = {"_max_claim_count": 0, "_dead_letter_queue": "dead"}
    with Client(two_queues.url) as client:
        done(client.request("queue_create", {"queue_name": "jobs", "metadata": dead}), 201)
        post(client, "other", 1)
        post(client, "jobs", "given up")
        done(client.request("claim_create", {"queue_name": "jobs"}), 204)
        assert bodies(client, "dead") == ["given up"]
        done(client.request("queue_delete", {"queue_name": "jobs"}), 204)

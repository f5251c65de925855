"""docs/compatibility.md, 13 to 16 and 21: leases, delays and expiry, on a gateway whose time is moved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deviations.conftest import TimeMachine
from tests.support.client import Client
from tests.support.expect import bodies, claim, done, post, refused


def taken(client: Client, **fields: Any) -> list[Any]:
    """The bodies of what a claim gets, if anything."""
    reply = client.request("claim_create", {"queue_name": "q", **fields})
    assert reply.status in (201, 204)
    return [message["body"] for message in reply.body.get("messages", [])]


def counts(client: Client) -> tuple[int, int, int]:
    """Free, claimed, all messages."""
    found = done(client.request("queue_get_stats", {"queue_name": "q"}), 200)["messages"]
    return found["free"], found["claimed"], found["total"]


def test_13_a_claim_takes_what_is_free_in_order_and_nothing_else(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        post(client, "q", 0, 1, ttl=1000)
        post(client, "q", "late", ttl=1000, delay=100)
        post(client, "q", 2, 3, ttl=1000)
        assert taken(client, limit=2, ttl=60) == [0, 1]
        assert taken(client, limit=1, ttl=300) == [2]
        assert taken(client, limit=1, ttl=300) == [3]
        assert taken(client) == []
        time_machine.advance(61)
        # The first claim has ended: its messages are back at their places, and none of the others'.
        assert taken(client, limit=20, ttl=300) == [0, 1]
        time_machine.advance(40)
        assert taken(client) == ["late"]


def test_14_a_claim_keeps_its_messages_alive(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        (message_id,) = post(client, "q", "x", ttl=60)
        held = claim(client, "q", ttl=300, grace=100)
        assert held["messages"][0]["ttl"] == 400
        where = {"queue_name": "q", "message_id": message_id}
        time_machine.advance(299)
        assert done(client.request("message_get", where), 200)["messages"]["claim_id"] == held["claim_id"]
        time_machine.advance(100)
        shown = done(client.request("message_get", where), 200)["messages"]
        assert (shown["claim_id"], shown["ttl"]) == (None, 400)
        assert shown["age"] == 399
        time_machine.advance(2)
        refused(client.request("message_get", where), 404)


def test_14_renewing_a_claim_does_too(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        post(client, "q", "x", ttl=60)
        claim_id = claim(client, "q", ttl=60, grace=60)["claim_id"]
        where = {"queue_name": "q", "claim_id": claim_id}
        for _ in range(5):
            time_machine.advance(50)
            done(client.request("claim_update", {**where, "ttl": 60, "grace": 60}), 204)
            assert done(client.request("claim_get", where), 200)["age"] in (0, 1)
        time_machine.advance(61)
        assert bodies(client, "q") == ["x"]
        time_machine.advance(60)
        assert bodies(client, "q") == []


def test_15_expired_subscriptions_hide_nobody(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as short, Client(time_machine.url, project=short.project) as long:
        for number in range(20):
            body = {"queue_name": "q", "subscriber": f"http://{number}.example/", "ttl": 60}
            done(short.request("subscription_create", body), 201)
        done(short.request("subscription_create", {"queue_name": "q", "ttl": 60}), 201)
        done(long.request("subscription_create", {"queue_name": "q", "ttl": 1000}), 201)
        time_machine.advance(61)
        listed = done(long.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"]
        assert [item["ttl"] for item in listed] == [1000]
        post(long, "q", 1)
        assert [item["body"] for item in long.wait_notifications(1)] == [1]
        done(short.request("ping_node"), 204)
        assert short.notifications == []
        # Who has expired may subscribe again.
        done(short.request("subscription_create", {"queue_name": "q", "ttl": 60}), 201)
        post(long, "q", 2)
        assert [item["body"] for item in short.wait_notifications(1)] == [2]


def test_15_an_expired_subscriber_gets_nothing_even_if_nobody_looked(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        done(client.request("subscription_create", {"queue_name": "q", "ttl": 60}), 201)
        time_machine.advance(61)
        post(client, "q", 1)
        done(client.request("ping_node"), 204)
        assert client.notifications == []


def test_16_an_expired_claim_is_not_found_and_disturbs_nobody(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        (message_id,) = post(client, "q", "x", ttl=1000)
        claim_id = claim(client, "q", ttl=60)["claim_id"]
        time_machine.advance(61)
        where = {"queue_name": "q", "claim_id": claim_id}
        refused(client.request("claim_get", where), 404)
        refused(client.request("claim_update", {**where, "ttl": 60}), 404)
        refused(client.request("message_delete", {**where, "message_id": message_id}), 400, "has expired")
        done(client.request("claim_delete", where), 204)
        assert counts(client) == (1, 0, 1)
        assert bodies(client, "q") == ["x"]
        assert taken(client) == ["x"]


def test_16_statistics_count_nothing_that_expired(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        post(client, "q", *range(5), ttl=60)
        post(client, "q", "late", ttl=60, delay=300)
        post(client, "q", *range(3), ttl=1000)
        claim(client, "q", ttl=60, grace=60, limit=7)
        time_machine.advance(61)
        # The claim has ended, its messages live on for its grace; the one never claimed is gone.
        assert counts(client) == (8, 0, 8)
        time_machine.advance(60)
        assert counts(client) == (3, 0, 3)
        time_machine.advance(1000)
        found = done(client.request("queue_get_stats", {"queue_name": "q"}), 200)
        assert found == {"messages": {"free": 0, "claimed": 0, "total": 0}}
        for _ in range(3):
            done(client.request("message_delete_many", {"queue_name": "q", "pop": 5}), 200)
            assert counts(client) == (0, 0, 0)


@pytest.mark.parametrize("by", ["message", "queue"])
def test_21_delays_work_on_the_websocket(time_machine: TimeMachine, by: str) -> None:
    with Client(time_machine.url) as client:
        metadata = {"_default_message_delay": 100} if by == "queue" else {}
        done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
        done(client.request("subscription_create", {"queue_name": "q"}), 201)
        post(client, "q", "late", **({} if by == "queue" else {"delay": 100}))
        post(client, "q", "early", delay=0)
        assert bodies(client, "q") == ["early"]
        assert bodies(client, "q", include_delayed=True) == ["late", "early"]
        assert [item["body"] for item in client.wait_notifications(1)] == ["early"]
        assert taken(client) == ["early"]
        time_machine.advance(100)
        # Its place is where it became visible: behind what could be seen before it.
        assert bodies(client, "q", include_claimed=True) == ["early", "late"]
        assert [item["body"] for item in client.wait_notifications(2)] == ["early", "late"]
        assert taken(client) == ["late"]


def test_21_what_is_delayed_longer_than_it_lives_is_never_seen(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        post(client, "q", "never", ttl=60, delay=100)
        time_machine.advance(61)
        assert bodies(client, "q", include_delayed=True) == []
        time_machine.advance(100)
        assert taken(client) == []


def test_22_the_ttl_of_a_dead_letter_is_in_force(time_machine: TimeMachine) -> None:
    with Client(time_machine.url) as client:
        metadata = {
            "_max_claim_count": 1,
            "_dead_letter_queue": "dead",
            "_dead_letter_queue_messages_ttl": 500,
        }
        done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
        post(client, "q", "x", ttl=1000)
        claim(client, "q", ttl=60)
        time_machine.advance(61)
        assert done(client.request("claim_create", {"queue_name": "q"}), 204) == {"claim_id": None}
        assert bodies(client, "dead") == ["x"]
        time_machine.advance(498)
        assert bodies(client, "dead") == ["x"]
        time_machine.advance(4)
        assert bodies(client, "dead") == []

"""Live push to subscribed sockets, in both forms (protocol.md section 4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.actions.conftest import Connect
from tests.support.client import Client
from tests.support.expect import claim, done, post
from tests.support.reactor import wait_until


def subscribe(client: Client, queue: str = "q", **fields: Any) -> str:
    body = done(client.request("subscription_create", {"queue_name": queue, **fields}), 201)
    subscription_id: str = body["subscription_id"]
    return subscription_id


def subscribers(client: Client, queue: str = "q") -> list[str]:
    body = done(client.request("subscription_list", {"queue_name": queue, "limit": 20}), 200)
    return [item["subscriber"] for item in body["subscriptions"]]


def bodies(client: Client, count: int) -> list[Any]:
    return [notification["body"] for notification in client.wait_notifications(count)]


def test_a_notification_has_upstreams_form(client: Client) -> None:
    subscribe(client)
    post(client, "q", {"a": 1}, ttl=300)
    want = {"ttl": 300, "body": {"a": 1}, "Message_Type": "Notification", "queue_name": "q"}
    assert client.wait_notifications(1) == [want]


def test_every_subscriber_gets_every_message_in_order_and_once(client: Client, connect: Connect) -> None:
    others = [connect() for _ in range(3)]
    for each in (client, *others):
        subscribe(each)
    for number in range(0, 40, 4):
        post(client if number % 8 else others[0], "q", *range(number, number + 4))
    for each in (client, *others):
        assert bodies(each, 40) == list(range(40))


def test_only_what_is_posted_after_the_subscription_is_pushed(client: Client, connect: Connect) -> None:
    other = connect()
    post(other, "q", "before")
    subscribe(client)
    post(other, "q", "after")
    assert bodies(client, 1) == ["after"]


def test_other_queues_and_projects_are_not_heard(client: Client, connect: Connect) -> None:
    subscribe(client)
    stranger = connect(project=f"{client.project}-2")
    subscribe(stranger)
    post(client, "other", 1)
    post(stranger, "q", 2)
    post(client, "q", 3)
    assert bodies(client, 1) == [3]
    assert bodies(stranger, 1) == [2]
    done(client.request("ping_node"), 204)
    assert [notification["body"] for notification in client.notifications] == [3]


def test_one_socket_subscribes_to_several_queues(client: Client) -> None:
    for queue in ("a", "b", "c"):
        subscribe(client, queue)
    for queue in ("c", "a", "b"):
        post(client, queue, queue)
    seen = client.wait_notifications(3)
    assert [(item["queue_name"], item["body"]) for item in seen] == [("c", "c"), ("a", "a"), ("b", "b")]


def test_each_subscription_has_its_own_form(client: Client, connect: Connect) -> None:
    subscribe(client, "q")
    other = connect(form="msgpack" if client.form == "json" else "json")
    subscribe(other, "q")
    post(connect(), "q", {"n": 1})
    for each in (client, other):
        frame = each.socket.recv(timeout=30)
        assert isinstance(frame, str if each.form == "json" else bytes)


def test_a_claimed_message_is_pushed_no_more(client: Client, connect: Connect) -> None:
    worker = connect()
    subscribe(client)
    post(worker, "q", 1)
    held = claim(worker, "q")
    done(worker.request("claim_delete", {"queue_name": "q", "claim_id": held["claim_id"]}), 204)
    post(worker, "q", 2)
    assert bodies(client, 2) == [1, 2]


def test_a_large_message_is_pushed_whole(client: Client, connect: Connect) -> None:
    subscribe(client)
    large = ["x" * size for size in (3_000, 100_000, 5_000, 1)]
    for body in large:
        post(connect(), "q", body)
    assert bodies(client, 4) == large


def test_a_delayed_message_is_pushed_when_its_delay_ends(client: Client, connect: Connect) -> None:
    subscribe(client)
    other = connect()
    messages = [{"body": "late", "delay": 1}, {"body": "early"}]
    done(other.request("message_post", {"queue_name": "q", "messages": messages}), 201)
    assert bodies(client, 2) == ["early", "late"]


def test_an_ended_subscription_gets_nothing(client: Client, connect: Connect) -> None:
    other = connect()
    subscription_id = subscribe(client)
    subscribe(other)
    post(other, "q", 1)
    assert bodies(client, 1) == [1]
    done(client.request("subscription_delete", {"queue_name": "q", "subscription_id": subscription_id}), 204)
    post(client, "q", 2)
    assert bodies(other, 2) == [1, 2]
    done(client.request("ping_node"), 204)
    assert len(client.notifications) == 1
    subscribe(client)
    post(other, "q", 3)
    assert bodies(client, 2) == [1, 3]


@pytest.mark.parametrize("action", ["queue_purge", "queue_delete"])
def test_subscriptions_end_with_a_purge_and_with_their_queue(
    client: Client, connect: Connect, action: str
) -> None:
    subscribe(client)
    done(client.request(action, {"queue_name": "q"}), 204)
    other = connect()
    subscribe(other)
    assert len(subscribers(client)) == 1
    post(client, "q", 1)
    assert bodies(other, 1) == [1]
    done(client.request("ping_node"), 204)
    assert client.notifications == []
    subscribe(client)
    post(client, "q", 2)
    assert bodies(client, 1) == [2]


@pytest.mark.parametrize("clean", [True, False])
def test_the_subscriptions_of_a_socket_end_with_it(client: Client, connect: Connect, clean: bool) -> None:
    other = connect()
    for queue in ("q", "r"):
        subscribe(other, queue)
    if clean:
        other.close()
    else:
        other.socket.close_socket()
    for queue in ("q", "r"):
        wait_until(lambda queue=queue: subscribers(client, queue) == [])  # type: ignore[misc]  # a default


def test_a_subscription_that_was_given_to_somebody_else_is_no_longer_the_sockets(
    client: Client, connect: Connect
) -> None:
    subscription_id = subscribe(client)
    changed = {"queue_name": "q", "subscription_id": subscription_id, "subscriber": "http://a.example/"}
    done(client.request("subscription_update", changed), 204)
    other = connect()
    subscribe(other)
    post(other, "q", 1)
    assert bodies(other, 1) == [1]
    done(client.request("ping_node"), 204)
    assert client.notifications == []
    client.close()
    assert "http://a.example/" in subscribers(other)

"""Replies come in the order of the requests, notifications in that of the queue, neither inside the other."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from tests.faults.load import all_messages
from tests.support.client import Client, encode, is_reply
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.proxy import Proxy
from tests.support.servers import start_valkey

UNKNOWN = "070a186c-006c-46aa-952a-2f4f090dc1f6"

# What needs the store, what needs the catalog, what needs neither, and what is refused in each of the steps.
REQUESTS: list[tuple[Any, dict[str, Any], int]] = [
    ("message_post", {"queue_name": "news", "messages": [{"body": "own"}]}, 201),
    ("message_list", {"queue_name": "jobs", "echo": True}, 200),
    ("queue_get_stats", {"queue_name": "jobs"}, 200),
    ("queue_create", {"queue_name": "jobs"}, 204),
    ("queue_list", {}, 200),
    ("queue_get", {"queue_name": "jobs"}, 200),
    ("claim_get", {"queue_name": "jobs", "claim_id": UNKNOWN}, 404),
    ("message_get", {"queue_name": "no-such-queue", "message_id": UNKNOWN}, 404),
    ("message_delete", {"queue_name": "jobs", "message_id": UNKNOWN}, 204),
    ("get_home_doc", {}, 200),
    ("no_such_action", {}, 400),
    (None, {}, 400),
    ("message_list", {"queue_name": 7}, 400),
    ("queue_create", {"queue_name": "not a name"}, 400),
]


def test_replies_come_in_the_order_of_the_requests(gateway: Gateway) -> None:
    chance = random.Random(1)
    with Client(gateway.url) as client:
        done(client.request("queue_create", {"queue_name": "jobs"}), 201)
        done(client.request("subscription_create", {"queue_name": "news"}), 201)
        sent = [chance.choice(REQUESTS) for _ in range(1000)]
        for number, (action, body, _) in enumerate(sent):
            headers = {
                "Client-ID": client.client_id,
                "X-Project-ID": client.project,
                "User-Agent": f"number {number}",
            }
            form = chance.choice(("json", "msgpack"))
            document = {"action": action, "headers": headers, "body": body}
            client.send_raw(encode(document, "json" if form == "json" else "msgpack"))
        posts = [number for number, (action, _, _) in enumerate(sent) if action == "message_post"]
        told = 0
        for number, (_, _, status) in enumerate(sent):
            reply = client.receive_reply()
            assert reply.request["headers"]["User-Agent"] == f"number {number}"
            assert reply.status == status, reply.document
            # A notification of what this request or a later one posted would have come before its reply.
            told = len(client.notifications)
            assert told <= len([at for at in posts if at < number]), f"told before the reply to {number}"
        client.wait_notifications(len(posts))


def test_frames_that_are_no_requests_have_their_turn_too(gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        done(client.request("queue_create", {"queue_name": "jobs"}), 201)
        for _ in range(100):
            client.send("queue_get_stats", {"queue_name": "jobs"})
            client.send_raw("{")
            client.send("queue_list", {})
            client.send_raw(b"\xc1")
        for _ in range(100):
            expected = (("queue_get_stats", 200), (None, 400), ("queue_list", 200), (None, 400))
            for action, status in expected:
                reply = client.receive_reply()
                assert (reply.request["action"], reply.status) == (action, status)


def test_the_reply_to_a_post_comes_before_its_notification(gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        done(client.request("subscription_create", {"queue_name": "news"}), 201)
        for number in range(200):
            client.send("message_post", {"queue_name": "news", "messages": [{"body": number}]})
            assert is_reply(client.receive())
            notification = client.receive()
            assert not is_reply(notification)
            assert notification["body"] == number


def test_notifications_wait_for_the_reply_of_the_request_at_work(tmp_path: Path) -> None:
    """They come to the node before the reply here; they go out behind it, and before the next reply."""
    with (
        start_valkey(tmp_path / "store") as store,
        Proxy(store.socket_path, tmp_path / "proxy.sock") as proxy,
        start_gateway(tmp_path / "data", "--redis-url", proxy.url) as gateway,
        Client(gateway.url) as busy,
        Client(gateway.url, project=busy.project) as idle,
    ):
        post(busy, "news", "before")  # the store knows the script now, and does it at the first word
        for client in (busy, idle):
            done(client.request("subscription_create", {"queue_name": "news"}), 201)
        # The first connection is for commands, the second for announcements.
        proxy.swallow_answers(oldest_only=True)
        busy.send("message_post", {"queue_name": "news", "messages": [{"body": "one"}, {"body": "two"}]})
        busy.send("queue_list", {})
        idle.wait_notifications(2)
        proxy.heal()
        frames = [busy.receive() for _ in range(4)]
        assert [is_reply(frame) for frame in frames] == [True, False, False, True]
        assert [frame["body"] for frame in frames[1:3]] == ["one", "two"]


def test_all_subscribers_hear_what_several_post_in_the_order_of_the_queue(gateway: Gateway) -> None:
    posters, posts = 4, 150
    with Client(gateway.url) as first, Client(gateway.url, project=first.project, form="msgpack") as second:
        subscribers = [first, second]
        for subscriber in subscribers:
            done(subscriber.request("subscription_create", {"queue_name": "news"}), 201)

        def post_many(name: int) -> None:
            with Client(gateway.url, project=first.project) as poster:
                # One that posts is told as well, between its requests.
                done(poster.request("subscription_create", {"queue_name": "news"}), 201)
                for number in range(posts):
                    post(poster, "news", [name, number])
                heard[name] = [told["body"] for told in poster.wait_notifications(0)]

        heard: dict[int, list[Any]] = {}
        threads = [threading.Thread(target=post_many, args=(name,), daemon=True) for name in range(posters)]
        for thread in threads:
            thread.start()
        expected_count = posters * posts
        for subscriber in subscribers:
            subscriber.wait_notifications(expected_count, timeout=60)
        for thread in threads:
            thread.join(60)
        order = [message["body"] for message in all_messages(first, "news")]
        assert len(order) == expected_count
        for subscriber in subscribers:
            assert [told["body"] for told in subscriber.notifications] == order
        for name in range(posters):
            assert [body for body in order if body[0] == name] == [[name, number] for number in range(posts)]
            # What a poster heard while it posted is a part of that order without a gap.
            start = order.index(heard[name][0])
            assert heard[name] == order[start : start + len(heard[name])]

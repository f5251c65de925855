"""Requests of one socket are answered in their order; a client that does not read costs bounded memory."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID, claim, done, post
from tests.support.gateway import Gateway
from tests.support.raw import PING, TEXT, RawSocket, make_frame


def frame(action: str, project: str = "lanes", **body: Any) -> bytes:
    headers = {"Client-ID": UNKNOWN_ID, "X-Project-ID": project}
    return make_frame(TEXT, json.dumps({"action": action, "headers": headers, "body": body}).encode())


def test_replies_come_in_the_order_of_the_requests(gateway: Gateway) -> None:
    # Some need the store, some the catalog, some both several times, some nothing at all.
    actions: list[tuple[str, dict[str, Any]]] = [
        ("check_node_health", {}),
        ("queue_list", {}),
        ("message_post", {"queue_name": "q", "messages": [{"body": "x" * 1000}] * 100}),
        ("get_home_doc", {}),
        ("no_such_action", {}),
        ("claim_create", {"queue_name": "q"}),
        ("queue_get", {"queue_name": "q"}),
    ]
    with RawSocket(gateway.url) as raw:
        for _ in range(10):
            raw.send(b"".join(frame(action, **body) for action, body in actions))
        for number in range(10 * len(actions)):
            reply = json.loads(raw.receive_message().payload)
            assert reply["request"]["action"] == actions[number % len(actions)][0]


def test_a_request_sees_what_the_one_before_did(gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        for number in range(50):
            body = {"queue_name": "q", "messages": [{"body": number}]}
            client.send("message_post", body)
            client.send("message_delete_many", {"queue_name": "q", "pop": 1})
        for number in range(50):
            done(client.receive_reply(), 201)
            popped = done(client.receive_reply(), 200)["messages"]
            assert [message["body"] for message in popped] == [number]


def test_a_notification_never_comes_before_the_reply_to_its_own_post(gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        done(client.request("subscription_create", {"queue_name": "q"}), 201)
        for number in range(100):
            client.send("message_post", {"queue_name": "q", "messages": [{"body": number}]})
        replies = 0
        notified: list[int] = []
        while len(notified) < 100:
            document = client.receive()
            if "headers" in document:
                replies += 1
            else:
                notified.append(document["body"])
                assert replies >= len(notified)
        assert notified == list(range(100))


def test_more_requests_than_may_be_in_flight_are_all_answered(impatient_gateway: Gateway) -> None:
    with RawSocket(impatient_gateway.url) as raw:
        raw.send(b"".join(frame("queue_get", queue_name=f"q{number}") for number in range(1000)))
        for number in range(1000):
            reply = json.loads(raw.receive_message().payload)
            assert reply["request"]["body"]["queue_name"] == f"q{number}"


def test_a_client_that_does_not_read_is_read_no_more_and_loses_nothing(gateway: Gateway) -> None:
    with Client(gateway.url, project="unread") as client, RawSocket(gateway.url) as raw:
        post(client, "q", *["x" * 20_000] * 10)
        listing = frame("message_list", "unread", queue_name="q", echo=True)
        padded = frame("message_list", "unread", queue_name="q", echo=True, padding="p" * 50_000)
        # Replies are larger than requests: what the gateway cannot send, it must not read requests for.
        raw.socket.settimeout(2.0)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 5_000:
                raw.socket.sendall(padded if sent else listing)
                sent += 1
        assert sent < 5_000
        raw.socket.settimeout(30.0)
        done(client.request("ping_node"), 204)
        # It reads at last: one reply for each request that went out whole, in order.
        for number in range(sent):
            reply = json.loads(raw.receive_message().payload)
            assert ("padding" in reply["request"]["body"]) == (number > 0)
            assert len(reply["body"]["messages"]) == 10


def test_pings_of_a_client_that_does_not_read_wait(gateway: Gateway) -> None:
    ping, most = make_frame(PING, b"p" * 125), 48_000_000  # what the kernel's buffers hold is far less
    with Client(gateway.url, project="pings") as client, RawSocket(gateway.url) as raw:
        raw.socket.settimeout(2.0)
        sent, flood = 0, ping * 2_000
        with pytest.raises(TimeoutError):
            while sent < most:
                sent += raw.socket.send(flood[sent % len(ping) :])
        done(client.request("ping_node"), 204)
        # It reads at last, and each ping that went out whole has its pong.
        raw.socket.settimeout(30.0)
        raw.receive_bytes(sent // len(ping) * (len(ping) - 4))  # a server's frames have no mask


def test_a_subscriber_that_does_not_read_holds_up_nobody_and_misses_nothing(gateway: Gateway) -> None:
    total, size = 600, 20_000
    with (
        Client(gateway.url, project="slow") as poster,
        Client(gateway.url, project="slow") as quick,
        RawSocket(gateway.url) as slow,
    ):
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        slow.send(frame("subscription_create", "slow", queue_name="q"))
        assert json.loads(slow.receive_message().payload)["headers"]["status"] == 201
        done(quick.request("subscription_create", {"queue_name": "q"}), 201)
        for number in range(0, total, 10):
            post(poster, "q", *[f"{item:05}" + "x" * size for item in range(number, number + 10)])
        assert [item["body"][:5] for item in quick.wait_notifications(total)] == [
            f"{number:05}" for number in range(total)
        ]
        # 12 MB have been posted; what this socket did not take waits in the queue, not in the gateway.
        for number in range(total):
            assert json.loads(slow.receive_message().payload)["body"][:5] == f"{number:05}"


def test_clients_at_once_do_not_get_each_others_replies(gateway: Gateway) -> None:
    failures: list[str] = []

    def work(name: str) -> None:
        try:
            with Client(gateway.url) as client:
                for number in range(30):
                    post(client, "q", f"{name}-{number}")
                    held = claim(client, "q")["messages"]
                    assert [message["body"] for message in held] == [f"{name}-{number}"]
        except BaseException as error:  # noqa: BLE001  # told to the test, which is in another thread
            failures.append(f"{name}: {error!r}")

    workers = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not failures

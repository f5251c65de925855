"""Webhooks from end to end: what is posted arrives, in order, whatever the receiver does."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.delivery.conftest import SIGNING_KEYS
from tests.support.client import Client
from tests.support.expect import bodies, done, post, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.reactor import wait_until
from tests.support.receiver import Answer, Received, Receiver, receiving, saying, silent
from tests.support.webhooks import AT_ONCE, NEVER, failing, subscribe, without_repeats

_numbers = itertools.count()


@pytest.fixture
def queue() -> str:
    return f"queue-{next(_numbers)}"


def test_messages_arrive_once_and_in_order(client: Client, receiver: Receiver, queue: str) -> None:
    subscribe(client, queue, receiver.url)
    for number in range(10):
        post(client, queue, *range(10 * number, 10 * number + 10))
    receiver.wait_for(100)
    post(client, queue, "last")
    receiver.wait_for(101)
    assert receiver.bodies() == [*range(100), "last"]


def test_a_subscriber_gets_what_is_posted_after_it_came(
    client: Client, receiver: Receiver, queue: str
) -> None:
    post(client, queue, "before")
    subscribe(client, queue, receiver.url + "first")
    post(client, queue, "between")
    receiver.wait_for(1)
    subscribe(client, queue, receiver.url + "second")
    post(client, queue, "after")
    receiver.wait_for(3)
    assert receiver.bodies("/first") == ["between", "after"]
    assert receiver.bodies("/second") == ["after"]


def test_a_delayed_message_comes_when_it_is_due(client: Client, receiver: Receiver, queue: str) -> None:
    subscribe(client, queue, receiver.url)
    messages = [{"body": "late", "delay": 1}, {"body": "now"}]
    done(client.request("message_post", {"queue_name": queue, "messages": messages}), 201)
    receiver.wait_for(2)
    assert receiver.bodies() == ["now", "late"]


def test_claimed_messages_are_delivered_too(client: Client, receiver: Receiver, queue: str) -> None:
    receiver.answer = failing(1)
    subscribe(client, queue, receiver.url)
    post(client, queue, 1, 2, 3)
    done(client.request("claim_create", {"queue_name": queue}), 201)
    receiver.wait_for(4)
    assert receiver.bodies() == [1, 1, 2, 3]


@pytest.mark.parametrize(
    "answer", [500, 503, 429, saying(b""), silent], ids=["500", "503", "429", "hangs up", "silent"]
)
def test_what_fails_is_tried_again_before_what_comes_behind_it(
    client: Client, receiver: Receiver, queue: str, answer: Answer
) -> None:
    receiver.answer = failing(3, answer)
    subscribe(client, queue, receiver.url, AT_ONCE)
    post(client, queue, 1, 2)
    receiver.wait_for(5)
    assert receiver.bodies() == [1, 1, 1, 1, 2]
    ids = [each.headers["x-zaqar-message-id"] for each in receiver.received]
    assert len(set(ids[:4])) == 1  # by which a receiver knows that it is asked again
    assert ids[4] != ids[0]


def test_tries_wait_as_the_policy_says(client: Client, receiver: Receiver, queue: str) -> None:
    times = []

    def answer(received: Received) -> Answer:
        times.append(time.monotonic())
        return failing(3)(received)

    receiver.answer = answer
    policy = {**NEVER, "minimum_delay": 1, "maximum_delay": 12, "minimum_delay_retries": 2}
    subscribe(client, queue, receiver.url, policy)
    post(client, queue, 1)
    receiver.wait_for(4)
    # No shorter, that is; how much longer is the machine's.
    assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(times))


def test_given_up_after_the_last_try(client: Client, receiver: Receiver, queue: str) -> None:
    receiver.answer = lambda received: 500 if received.body == 1 else 204
    subscribe(client, queue, receiver.url, NEVER)
    post(client, queue, 1, 2)
    receiver.wait_for(4)
    assert receiver.bodies() == [1, 1, 1, 2]


@pytest.mark.parametrize("status", [400, 404, 410, 302])
def test_what_no_other_try_would_change_is_given_up_at_once(
    client: Client, receiver: Receiver, queue: str, status: int
) -> None:
    receiver.answer = lambda received: status if received.body == 1 else 204
    subscribe(client, queue, receiver.url)
    post(client, queue, 1, 2)
    receiver.wait_for(2)
    assert receiver.bodies() == [1, 2]


def test_what_is_given_up_goes_to_the_dead_letter_queue(
    client: Client, receiver: Receiver, queue: str
) -> None:
    dead = f"{queue}-dead"
    done(client.request("queue_create", {"queue_name": queue, "metadata": {"_dead_letter_queue": dead}}), 201)
    receiver.answer = lambda received: 400 if received.body == 1 else 204
    first = subscribe(client, queue, receiver.url + "a")
    assert first != subscribe(client, queue, receiver.url + "b")
    post(client, queue, 1, 2)
    receiver.wait_for(4)
    wait_until(lambda: bodies(client, dead) == [1])
    # It stays where it was, for the others; and two that gave it up are one dead letter.
    assert bodies(client, queue) == [1, 2]


def test_a_retry_policy_of_the_queue(client: Client, receiver: Receiver, queue: str) -> None:
    done(client.request("queue_create", {"queue_name": queue, "metadata": {"_retry_policy": AT_ONCE}}), 201)
    receiver.answer = failing(8)
    subscribe(client, queue, receiver.url)
    post(client, queue, 1)
    receiver.wait_for(9)


def test_post_data_and_headers(client: Client, receiver: Receiver, queue: str) -> None:
    subscribe(
        client,
        queue,
        receiver.url,
        post_data='{"body": "wrapped", "message": "$zaqar_message$"}',
        post_headers={"Authorization": "Bearer x"},
    )
    post(client, queue, {"n": 1})
    (received,) = receiver.wait_for(1)
    assert received.body == "wrapped"
    told = json.loads(received.data)["message"]
    assert told == {"ttl": 3600, "body": {"n": 1}, "Message_Type": "Notification", "queue_name": queue}
    assert received.headers["authorization"] == "Bearer x"
    assert received.headers["x-zaqar-signature"].count("v1=") == len(SIGNING_KEYS)


def test_a_silent_endpoint_delays_nobody_else(client: Client, receiver: Receiver, queue: str) -> None:
    with receiving() as other:
        other.answer = lambda _: silent
        for number in range(20):
            subscribe(client, queue, f"{other.url}{number}")
        subscribe(client, queue, receiver.url)
        post(client, queue, *range(50))
        receiver.wait_for(50)
        # No more at once than the setting says.
        assert other.most_at_once <= 8
        assert receiver.bodies() == list(range(50))


def test_an_endpoint_that_keeps_failing_is_left_alone(
    client: Client, receiver: Receiver, queue: str, delivering: Gateway
) -> None:
    # Until this test has looked: a pause ends by itself, and what works then is left alone no more.
    receiver.answer = lambda _: 503
    subscribe(client, queue, receiver.url, AT_ONCE)
    post(client, queue, 1, 2)
    endpoint = receiver.url.rstrip("/")
    wait_until(lambda: told(delivering, "endpoint_fails", endpoint))
    assert value(delivering, "delivery_open_circuits") >= 1
    receiver.wait_for(11)  # the first one after a pause
    receiver.answer = lambda _: 204
    wait_until(lambda: told(delivering, "endpoint_works", endpoint))
    # A pause is no try: it goes on from there.
    wait_until(lambda: 2 in receiver.bodies())
    assert without_repeats(receiver.bodies()) == [1, 2]
    assert len(receiver.bodies()) < 100  # without pauses it would have been tried 1,000 times


def told(gateway: Gateway, event: str, endpoint: str) -> bool:
    return any(each.get("event") == event and each["endpoint"] == endpoint for each in gateway.events)


def test_no_more_once_the_subscription_has_ended(client: Client, receiver: Receiver, queue: str) -> None:
    receiver.answer = lambda received: 204 if received.path == "/second" else 503
    policy = {**NEVER, "minimum_delay": 4, "maximum_delay": 60, "minimum_delay_retries": 5}
    first = subscribe(client, queue, receiver.url + "first", policy)
    subscribe(client, queue, receiver.url + "second")
    post(client, queue, 1)
    receiver.wait_for(2)
    done(client.request("subscription_delete", {"queue_name": queue, "subscription_id": first}), 204)
    # When this one is tried again, the first would have been.
    subscribe(client, queue, receiver.url + "witness", policy)
    post(client, queue, 2)
    receiver.wait_for(2, path="/witness")
    receiver.wait_for(2, path="/second")
    assert receiver.bodies("/first") == [1]


def test_another_subscriber_is_tried_at_once(client: Client, receiver: Receiver, queue: str) -> None:
    receiver.answer = lambda received: 500 if received.path == "/old" else 204
    waiting = {**NEVER, "minimum_delay_retries": 1000, "minimum_delay": 1000, "maximum_delay": 2000}
    subscription = subscribe(client, queue, receiver.url + "old", waiting)
    post(client, queue, 1, 2)
    receiver.wait_for(1)
    with_rest = {"queue_name": queue, "subscription_id": subscription, "subscriber": receiver.url + "new"}
    done(client.request("subscription_update", with_rest), 204)
    receiver.wait_for(2, path="/new")
    assert receiver.bodies("/new") == [1, 2]


def test_a_queue_that_is_deleted_and_made_anew(client: Client, receiver: Receiver, queue: str) -> None:
    subscribe(client, queue, receiver.url + "old")
    post(client, queue, "old")
    receiver.wait_for(1)
    done(client.request("queue_delete", {"queue_name": queue}), 204)
    subscribe(client, queue, receiver.url + "new")
    post(client, queue, "new")
    receiver.wait_for(2)
    assert receiver.bodies("/new") == ["new"]
    assert receiver.bodies("/old") == ["old"]


def test_what_left_the_queue_is_missed_and_the_rest_comes(
    client: Client, receiver: Receiver, queue: str
) -> None:
    open_gate: list[Any] = []
    receiver.answer = lambda _: 204 if open_gate else 503
    policy = {**NEVER, "minimum_delay_retries": 1000, "minimum_delay": 1}
    policy["maximum_delay"] = 11
    subscribe(client, queue, receiver.url, policy)
    ids = post(client, queue, 1, 2, 3)
    receiver.wait_for(1)
    for each in ids[:2]:
        done(client.request("message_delete", {"queue_name": queue, "message_id": each}), 204)
    open_gate.append(True)
    wait_until(lambda: receiver.bodies()[-1] == 3)
    assert without_repeats(receiver.bodies()) == [1, 3]


def test_tries_are_counted(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda received: {1: 500, 2: 204, 3: 400}.get(received.number, 204)
    expected = {"delivered": 2, "again": 1, "refused": 1}
    # Its own, since others may still try what earlier tests have left.
    with (
        start_gateway(tmp_path / "data", "--webhook-allowed-networks", "127.0.0.0/8") as gateway,
        Client(gateway.url) as client,
    ):
        subscribe(client, "jobs", receiver.url)
        post(client, "jobs", 1, 2, 3)
        receiver.wait_for(4)
        wait_until(
            lambda: {kind: value(gateway, "deliveries_total", result=kind) for kind in expected} == expected
        )


def test_what_came_of_it_is_shown(client: Client, receiver: Receiver, queue: str) -> None:
    receiver.answer = lambda received: 404 if received.body == 2 else 204
    subscription = subscribe(client, queue, receiver.url)

    def shown() -> Any:
        named = {"queue_name": queue, "subscription_id": subscription}
        return done(client.request("subscription_get", named), 200)["delivery"]

    assert shown() == {"delivered": 0, "failed": 0, "missed": 0, "last_error": ""}
    post(client, queue, 1, 2, 3)
    expected = {"delivered": 2, "failed": 1, "missed": 0, "last_error": "HTTP 404"}
    wait_until(lambda: shown() == expected)


def test_a_sockets_own_subscription_has_no_delivery(client: Client, queue: str) -> None:
    created = done(client.request("subscription_create", {"queue_name": queue}), 201)
    assert "signature_secret" not in created
    named = {"queue_name": queue, "subscription_id": created["subscription_id"]}
    shown = done(client.request("subscription_get", named), 200)
    assert not {"delivery", "signature_secret"} & set(shown)
    post(client, queue, 1)
    assert client.wait_notifications(1)[0]["body"] == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_not_delivered_to_unless_it_may_be(gateway: Gateway, queue: str, host: str) -> None:
    with receiving() as receiver, Client(gateway.url) as client:
        subscription = subscribe(client, queue, f"http://{host}:{receiver.port}/")
        post(client, queue, 1)

        def failed() -> bool:
            named = {"queue_name": queue, "subscription_id": subscription}
            counts = done(client.request("subscription_get", named), 200)["delivery"]
            return bool(counts["failed"] == 1 and "may be delivered to" in counts["last_error"])

        wait_until(failed)
        assert not receiver.received


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"post_headers": {"Host": "inside"}}, "Host"),
        ({"post_headers": {"x-zaqar-signature": "t=1,v1=0"}}, "x-zaqar-signature"),
        ({"post_headers": {"A": "b\r\nC: d"}}, "printable"),
        ({"post_data": '"$zaqar_message$"' * 5}, "4 times"),
    ],
)
def test_options_that_are_refused(client: Client, queue: str, options: dict[str, Any], word: str) -> None:
    asked = {"queue_name": queue, "subscriber": "http://example.org/", "options": options}
    refused(client.request("subscription_create", asked), 400, word)


def test_a_user_in_the_url_is_refused(client: Client, queue: str) -> None:
    asked = {"queue_name": queue, "subscriber": "http://user:secret@example.org/"}
    refused(client.request("subscription_create", asked), 400, "Authorization")

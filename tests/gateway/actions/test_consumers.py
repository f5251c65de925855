"""Streaming claims on the wire, in both forms (docs/streaming-claims.md)."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.extension import SUBPROTOCOL
from tests.gateway.actions.conftest import Connect
from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID, done, misshapen, post, refused
from tests.support.reactor import wait_until


@pytest.fixture
def worker(connect: Connect) -> Client:
    """A client that has agreed on the subprotocol."""
    return connect(subprotocol=SUBPROTOCOL)


def subscribe(client: Client, credit: int = 3, **fields: Any) -> str:
    body = done(client.request("claim_subscribe", {"queue_name": "q", "credit": credit, **fields}), 201)
    claim_id: str = body["claim_id"]
    return claim_id


def work(client: Client, count: int) -> list[dict[str, Any]]:
    """The messages that were pushed, once there are so many."""

    def messages() -> list[dict[str, Any]]:
        return [message for event in client.notifications for message in event.get("messages", [])]

    while len(messages()) < count:
        client.wait_notifications(len(client.notifications) + 1)
    found = messages()
    assert len(found) == count, found
    return found


def bodies(client: Client, count: int) -> list[Any]:
    return [message["body"] for message in work(client, count)]


def test_a_claim_event_has_this_form(worker: Client, client: Client) -> None:
    claim_id = subscribe(worker)
    (message_id,) = post(client, "q", {"a": 1}, ttl=300)
    (event,) = worker.wait_notifications(1)
    (message,) = event.pop("messages")
    assert event == {"event": "claim", "queue_name": "q", "claim_id": claim_id}
    assert message.pop("created").endswith("Z")
    assert 0 <= message.pop("age") < 60
    assert message == {
        **{"id": message_id, "claim_id": claim_id, "ttl": 300, "body": {"a": 1}, "claim_count": 1}
    }


def test_a_legacy_socket_is_told_what_it_needs(client: Client) -> None:
    for action, body in (
        ("claim_subscribe", {"queue_name": "q", "credit": 1}),
        ("claim_unsubscribe", {"queue_name": "q", "claim_id": UNKNOWN_ID}),
        ("message_release", {"queue_name": "q", "claim_id": UNKNOWN_ID, "message_ids": [UNKNOWN_ID]}),
    ):
        reply = client.request(action, body)
        refused(reply, 400, SUBPROTOCOL, "handshake")
        assert reply.body["code"] == "subprotocol_needed"


def test_the_reply_comes_before_the_work(worker: Client, client: Client) -> None:
    post(client, "q", 1)
    worker.send("claim_subscribe", {"queue_name": "q", "credit": 1})
    assert worker.receive()["headers"]["status"] == 201
    assert bodies(worker, 1) == [1]


@pytest.mark.parametrize("many", [False, True])
def test_deleting_acknowledges(worker: Client, client: Client, many: bool) -> None:
    claim_id = subscribe(worker, credit=2)
    post(client, "q", 1, 2, 3, 4)
    ids = [message["id"] for message in work(worker, 2)]
    if many:
        done(worker.request("message_delete_many", {"queue_name": "q", "message_ids": ids}), 204)
    else:
        for message_id in ids:
            body = {"queue_name": "q", "message_id": message_id, "claim_id": claim_id}
            done(worker.request("message_delete", body), 204)
    assert bodies(worker, 4) == [1, 2, 3, 4]


def test_one_or_all_can_be_given_back(worker: Client, client: Client) -> None:
    claim_id = subscribe(worker, credit=2)
    post(client, "q", 1, 2, 3)
    first = work(worker, 2)[0]
    body = {"queue_name": "q", "claim_id": claim_id, "message_ids": [first["id"], UNKNOWN_ID]}
    assert done(worker.request("message_release", body), 204) == {}
    # It is the first again.
    assert bodies(worker, 3) == [1, 2, 1]
    assert work(worker, 3)[2]["claim_count"] == 2
    done(worker.request("claim_delete", {"queue_name": "q", "claim_id": claim_id}), 204)
    assert bodies(worker, 5)[3:] == [1, 2]


def test_a_consumer_renews_its_leases(worker: Client, client: Client) -> None:
    claim_id = subscribe(worker, ttl=60)
    post(client, "q", 1)
    work(worker, 1)
    done(worker.request("claim_update", {"queue_name": "q", "claim_id": claim_id, "ttl": 600}), 204)
    held = done(client.request("claim_get", {"queue_name": "q", "claim_id": claim_id}), 200)
    assert (held["ttl"], len(held["messages"])) == (600, 1)


def test_who_unsubscribes_gives_all_back_at_once(worker: Client, client: Client, connect: Connect) -> None:
    other = connect(subprotocol=SUBPROTOCOL)
    claim_id = subscribe(worker)
    post(client, "q", 1, 2)
    work(worker, 2)
    subscribe(other)
    body = {"queue_name": "q", "claim_id": claim_id}
    done(worker.request("claim_unsubscribe", body), 204)
    assert bodies(other, 2) == [1, 2]
    refused(worker.request("claim_unsubscribe", body), 404)
    refused(worker.request("claim_unsubscribe", {"queue_name": "none", "claim_id": UNKNOWN_ID}), 404)
    assert len(worker.notifications) == 1


@pytest.mark.parametrize("clean", [True, False])
def test_who_comes_back_keeps_what_was_held(
    worker: Client, client: Client, connect: Connect, clean: bool
) -> None:
    claim_id = subscribe(worker)
    post(client, "q", 1, 2)
    work(worker, 2)
    if clean:
        worker.close()
    else:
        worker.socket.close_socket()
    again = connect(subprotocol=SUBPROTOCOL)
    body = {"queue_name": "q", "credit": 3, "claim_id": claim_id.upper()}
    assert done(again.request("claim_subscribe", body), 201) == {"claim_id": claim_id, "held": 2}
    assert bodies(again, 2) == [1, 2]
    assert [message["claim_count"] for message in work(again, 2)] == [1, 1]


def test_a_claim_ends_soon_after_its_socket(worker: Client, client: Client) -> None:
    claim_id = subscribe(worker, ttl=600)
    post(client, "q", 1)
    work(worker, 1)
    worker.close()
    body = {"queue_name": "q", "claim_id": claim_id}
    # The grace is 5 seconds.
    wait_until(lambda: client.request("claim_get", body).body.get("ttl", 0) < 10)
    assert done(client.request("claim_get", body), 200)["messages"][0]["body"] == 1


def test_a_consumer_ends_with_its_queue_and_where_it_is_taken_over(
    worker: Client, client: Client, connect: Connect
) -> None:
    taker = connect(subprotocol=SUBPROTOCOL)
    claim_id = subscribe(worker)
    subscribe(taker, claim_id=claim_id)
    ended = {"event": "claim_ended", "queue_name": "q", "claim_id": claim_id}
    assert worker.wait_notifications(1) == [{**ended, "reason": "taken_over"}]
    done(client.request("queue_delete", {"queue_name": "q"}), 204)
    assert taker.wait_notifications(1) == [{**ended, "reason": "queue_deleted"}]


def test_dead_letters_wake_who_waits_for_them(worker: Client, client: Client, connect: Connect) -> None:
    undertaker = connect(subprotocol=SUBPROTOCOL)
    metadata = {"_max_claim_count": 1, "_dead_letter_queue": "dead"}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    done(undertaker.request("claim_subscribe", {"queue_name": "dead", "credit": 1}), 201)
    claim_id = subscribe(worker, credit=1)
    post(client, "q", "bad", "good")
    (message,) = work(worker, 1)
    body = {"queue_name": "q", "claim_id": claim_id, "message_ids": [message["id"]]}
    done(worker.request("message_release", body), 204)
    assert bodies(worker, 2) == ["bad", "good"]
    (dead,) = work(undertaker, 1)
    assert (dead["body"], dead["dead_letter"]["message_id"]) == ("bad", message["id"])


def test_what_is_asked_for_has_to_make_sense(worker: Client) -> None:
    for credit in (0, 1001):
        refused(worker.request("claim_subscribe", {"queue_name": "q", "credit": credit}), 400, "credit")
    misshapen(worker.request("claim_subscribe", {"queue_name": "q"}), "credit")
    body = {"queue_name": "q", "credit": 1, "claim_id": "mine"}
    refused(worker.request("claim_subscribe", body), 400, "claim_id", "mine")
    refused(worker.request("claim_subscribe", {"queue_name": "no name", "credit": 1}), 400)


def test_large_messages_come_in_several_events(worker: Client, client: Client) -> None:
    subscribe(worker, credit=10)
    large = ["x" * 50_000 for _ in range(5)]
    post(client, "q", *large)
    assert bodies(worker, 5) == large
    assert all(len(event["messages"]) == 1 for event in worker.notifications)

"""docs/compatibility.md, 22 and 23: dead letters and notifications."""

from __future__ import annotations

from tests.deviations.conftest import Connect
from tests.support.client import Client
from tests.support.expect import claim, done, is_uuid, pages, post


def test_22_a_dead_letter_is_free_at_once_with_a_new_id_and_its_origin(client: Client) -> None:
    metadata = {"_max_claim_count": 1, "_dead_letter_queue": "dead"}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    (message_id,) = post(client, "q", {"job": 1}, ttl=1000)
    where = {"queue_name": "q", "claim_id": claim(client, "q")["claim_id"]}
    done(client.request("claim_delete", where), 204)
    assert done(client.request("claim_create", {"queue_name": "q"}), 204) == {"claim_id": None}
    # The queue was missing: it has been created.
    assert done(client.request("queue_get_stats", {"queue_name": "dead"}), 200)["messages"]["free"] == 1
    (letter,) = claim(client, "dead")["messages"]
    assert letter["dead_letter"] == {"queue_name": "q", "message_id": message_id}
    assert is_uuid(letter["id"])
    assert letter["id"] != message_id
    assert (letter["body"], letter["ttl"]) == ({"job": 1}, 1000)


def test_22_claims_are_counted_always(client: Client) -> None:
    post(client, "q", 1)
    for count in range(1, 4):
        held = claim(client, "q")
        oldest = done(client.request("queue_get_stats", {"queue_name": "q"}), 200)["messages"]["oldest"]
        assert oldest["claim_count"] == count
        done(client.request("claim_delete", {"queue_name": "q", "claim_id": held["claim_id"]}), 204)


def test_22_dead_letters_are_pushed_to_who_subscribed_to_their_queue(client: Client) -> None:
    metadata = {"_max_claim_count": 0, "_dead_letter_queue": "dead"}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    done(client.request("subscription_create", {"queue_name": "dead"}), 201)
    post(client, "q", 1, 2)
    done(client.request("claim_create", {"queue_name": "q"}), 204)
    assert [item["body"] for item in client.wait_notifications(2)] == [1, 2]


def test_22_many_claims_at_once_deliver_each_dead_letter_once(client: Client, connect: Connect) -> None:
    metadata = {"_max_claim_count": 0, "_dead_letter_queue": "dead"}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    post(client, "q", *range(200))
    claimers = [connect(form=client.form, project=client.project) for _ in range(8)]
    for claimer in claimers:
        for _ in range(5):
            claimer.send("claim_create", {"queue_name": "q", "limit": 5})
    for claimer in claimers:
        for _ in range(5):
            done(claimer.receive_reply(), 204)
    assert sorted(pages(client, "dead", 20, echo=True)) == list(range(200))


def test_23_notifications_come_in_the_order_of_the_queue_once_each(client: Client, connect: Connect) -> None:
    project, form = client.project, client.form
    subscribers = [connect(form=form, project=project) for _ in range(5)]
    posters = [connect(form=form, project=project) for _ in range(4)]
    for subscriber in subscribers:
        done(subscriber.request("subscription_create", {"queue_name": "q"}), 201)
    for number in range(25):
        for which, poster in enumerate(posters):
            poster.send("message_post", {"queue_name": "q", "messages": [{"body": [which, number]}]})
    for poster in posters:
        for _ in range(25):
            done(poster.receive_reply(), 201)
    order = pages(client, "q", 20, echo=True)
    assert len(order) == 100
    for subscriber in subscribers:
        assert [item["body"] for item in subscriber.wait_notifications(100)] == order
        done(subscriber.request("ping_node"), 204)
        assert len(subscriber.notifications) == 100


def test_23_what_is_notified_is_stored(client: Client, connect: Connect) -> None:
    poster = connect(form=client.form, project=client.project)
    done(client.request("subscription_create", {"queue_name": "q"}), 201)
    for number in range(20):
        # The poster does not wait for its reply: the notification may come first.
        poster.send("message_post", {"queue_name": "q", "messages": [{"body": number}]})
        assert client.wait_notifications(number + 1)[-1]["body"] == number
        assert pages(client, "q", 20, echo=True)[-1] == number
        done(poster.receive_reply(), 201)

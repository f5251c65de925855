"""Claims through a socket, in both forms (protocol.md sections 2, 3 and 5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.actions.conftest import Connect
from tests.support.client import Client, Reply
from tests.support.expect import UNKNOWN_ID, bodies, claim, done, is_uuid, misshapen, post, refused


def create(client: Client, **fields: Any) -> Reply:
    return client.request("claim_create", {"queue_name": "q", **fields})


def on_claim(client: Client, action: str, claim_id: str, **fields: Any) -> Reply:
    return client.request(action, {"queue_name": "q", "claim_id": claim_id, **fields})


def test_a_claim_takes_from_the_head_and_shows_what_it_took(client: Client) -> None:
    ids = post(client, "q", *range(15), ttl=1000)
    held = claim(client, "q")
    assert held.keys() == {"claim_id", "messages"}
    assert is_uuid(held["claim_id"])
    assert [message["id"] for message in held["messages"]] == ids[:10]
    for number, message in enumerate(held["messages"]):
        assert message.keys() >= {"id", "claim_id", "ttl", "age", "body"}
        assert (message["claim_id"], message["ttl"], message["body"]) == (held["claim_id"], 1000, number)
    assert bodies(client, "q") == [10, 11, 12, 13, 14]
    assert [message["body"] for message in claim(client, "q", limit=20)["messages"]] == [10, 11, 12, 13, 14]


def test_nothing_to_claim(client: Client) -> None:
    done(client.request("queue_create", {"queue_name": "q"}), 201)
    for queue in ("missing", "not a name", "q"):
        body = done(client.request("claim_create", {"queue_name": queue}), 204)
        assert body.keys() == {"claim_id"}
        assert is_uuid(body["claim_id"])
        refused(on_claim(client, "claim_get", body["claim_id"]), 404)


@pytest.mark.parametrize(
    ("field", "minimum", "maximum"), [("ttl", 60, 43_200), ("grace", 60, 43_200), ("limit", 1, 20)]
)
def test_what_a_claim_asks_for_has_its_ranges(client: Client, field: str, minimum: int, maximum: int) -> None:
    post(client, "q", 1, 2)
    for value in (minimum - 1, maximum + 1, -1):
        refused(create(client, **{field: value}), 400, field, f"{minimum} to {maximum}")
    for wrong in (str(minimum), float(minimum), True, None, [minimum]):
        misshapen(create(client, **{field: wrong}), field)
    for value in (minimum, maximum):
        held = claim(client, "q", **{field: value})
        done(on_claim(client, "claim_delete", held["claim_id"]), 204)


@pytest.mark.parametrize(
    ("fields", "shown"), [({}, 360), ({"ttl": 60}, 3600), ({"ttl": 7200, "grace": 100}, 7300)]
)
def test_messages_outlive_their_claim_by_its_grace(
    client: Client, fields: dict[str, int], shown: int
) -> None:
    ttl = 60 if shown == 360 else 3600
    post(client, "q", "x", ttl=ttl)
    held = claim(client, "q", **fields)
    assert held["messages"][0]["ttl"] == shown
    got = done(on_claim(client, "claim_get", held["claim_id"]), 200)
    assert got["ttl"] == fields.get("ttl", 300)
    assert got["age"] in range(60)
    assert [message["ttl"] for message in got["messages"]] == [shown]


def test_a_claim_is_read(client: Client, connect: Connect) -> None:
    post(client, "q", 1, 2, 3)
    held = claim(client, "q", limit=2, ttl=100)
    for reader in (client, connect()):
        got = done(on_claim(reader, "claim_get", held["claim_id"].upper()), 200)
        assert got.keys() == {"age", "ttl", "messages"}
        assert [message["body"] for message in got["messages"]] == [1, 2]
        assert {message["claim_id"] for message in got["messages"]} == {held["claim_id"]}


@pytest.mark.parametrize("claim_id", ["", "no claim", UNKNOWN_ID])
def test_a_claim_that_is_not_there(client: Client, claim_id: str) -> None:
    post(client, "q", 1)
    for queue in ("q", "missing"):
        named = {"queue_name": queue, "claim_id": claim_id}
        refused(client.request("claim_get", named), 404, "does not exist")
        refused(client.request("claim_update", {**named, "ttl": 60}), 404, "does not exist")
        assert done(client.request("claim_delete", named), 204) == f"Claim {claim_id} deleted."


def test_a_claim_is_renewed(client: Client) -> None:
    post(client, "q", 1, ttl=60)
    claim_id = claim(client, "q", ttl=100)["claim_id"]
    assert done(on_claim(client, "claim_update", claim_id, ttl=500), 204) == f"Claim {claim_id} updated."
    got = done(on_claim(client, "claim_get", claim_id), 200)
    assert (got["ttl"], got["messages"][0]["ttl"]) == (500, 560)
    done(on_claim(client, "claim_update", claim_id), 204)
    assert done(on_claim(client, "claim_get", claim_id), 200)["ttl"] == 300


@pytest.mark.parametrize("grace", [60, 0, -5, 10**9, 43_200])
def test_renewing_takes_any_grace(client: Client, grace: int) -> None:
    post(client, "q", 1, ttl=60)
    claim_id = claim(client, "q")["claim_id"]
    done(on_claim(client, "claim_update", claim_id, ttl=1000, grace=grace), 204)
    got = done(on_claim(client, "claim_get", claim_id), 200)
    assert 1000 <= got["messages"][0]["ttl"] <= 1000 + 43_200


def test_renewing_has_the_range_of_a_claims_ttl(client: Client) -> None:
    post(client, "q", 1)
    claim_id = claim(client, "q", ttl=100)["claim_id"]
    for ttl in (59, 43_201):
        refused(on_claim(client, "claim_update", claim_id, ttl=ttl), 400, "ttl", "60 to 43200")
    for fields in ({"ttl": "60"}, {"grace": 1.0}, {"grace": "1"}, {"grace": True}):
        misshapen(on_claim(client, "claim_update", claim_id, **fields), *fields)
    assert done(on_claim(client, "claim_get", claim_id), 200)["ttl"] == 100


def test_an_ended_claim_gives_its_messages_back_to_their_places(client: Client) -> None:
    post(client, "q", *range(4))
    held = claim(client, "q", limit=2)
    claim_id = held["claim_id"]
    for _ in range(2):
        assert done(on_claim(client, "claim_delete", claim_id), 204) == f"Claim {claim_id} deleted."
    assert bodies(client, "q") == [0, 1, 2, 3]
    refused(on_claim(client, "claim_get", claim_id), 404)
    again = claim(client, "q", limit=3)
    assert [message["body"] for message in again["messages"]] == [0, 1, 2]
    stats = done(client.request("queue_get_stats", {"queue_name": "q"}), 200)["messages"]
    assert (stats["oldest"]["claim_count"], stats["newest"]["claim_count"]) == (2, 0)


def test_a_claim_shrinks_with_what_is_deleted(client: Client) -> None:
    ids = post(client, "q", 1, 2)
    claim_id = claim(client, "q")["claim_id"]
    for message_id, left in zip(ids, ([2], []), strict=True):
        named = {"queue_name": "q", "message_id": message_id, "claim_id": claim_id}
        done(client.request("message_delete", named), 204)
        got = done(on_claim(client, "claim_get", claim_id), 200)
        assert [message["body"] for message in got["messages"]] == left


def test_two_clients_never_get_the_same_message(client: Client, connect: Connect) -> None:
    post(client, "q", *range(60))
    others = [connect() for _ in range(3)]
    for _ in range(5):
        for other in others:
            other.send("claim_create", {"queue_name": "q", "limit": 4})
    taken = [
        message["body"]
        for other in others
        for _ in range(5)
        for message in done(other.receive_reply(), 201)["messages"]
    ]
    assert sorted(taken) == list(range(60))


def dead_letter_queue(client: Client, **metadata: Any) -> None:
    metadata = {"_max_claim_count": 2, "_dead_letter_queue": "dead", **metadata}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)


def claim_and_free(client: Client) -> list[Any]:
    held = claim(client, "q")
    done(on_claim(client, "claim_delete", held["claim_id"]), 204)
    return [message["body"] for message in held["messages"]]


def test_what_was_claimed_too_often_goes_to_the_dead_letter_queue(client: Client) -> None:
    dead_letter_queue(client, _dead_letter_queue_messages_ttl=500)
    ids = post(client, "q", 1, 2)
    assert claim_and_free(client) == claim_and_free(client) == [1, 2]
    assert done(create(client), 204) == {"claim_id": None}
    assert bodies(client, "q", include_claimed=True) == []
    dead = done(client.request("message_list", {"queue_name": "dead", "echo": True}), 200)["messages"]
    assert [message["body"] for message in dead] == [1, 2]
    assert [message["ttl"] for message in dead] == [500, 500]
    assert [message["dead_letter"] for message in dead] == [
        {"queue_name": "q", "message_id": message_id} for message_id in ids
    ]
    assert not {message["id"] for message in dead} & set(ids)
    assert [message["body"] for message in claim(client, "dead")["messages"]] == [1, 2]


def test_what_is_dead_makes_room_for_what_is_free(client: Client) -> None:
    dead_letter_queue(client, _max_claim_count=1)
    post(client, "q", "dead-1", "dead-2")
    claim_and_free(client)
    post(client, "q", "alive")
    assert [message["body"] for message in claim(client, "q", limit=1)["messages"]] == ["alive"]
    assert bodies(client, "dead") == ["dead-1", "dead-2"]


def test_nothing_is_handed_out_with_a_count_of_0(client: Client) -> None:
    dead_letter_queue(client, _max_claim_count=0)
    post(client, "q", 1)
    done(create(client), 204)
    assert bodies(client, "dead") == [1]


@pytest.mark.parametrize("missing", ["_max_claim_count", "_dead_letter_queue"])
def test_dead_letters_need_both_settings(client: Client, missing: str) -> None:
    dead_letter_queue(client, **{missing: None})
    post(client, "q", 1)
    for _ in range(4):
        assert claim_and_free(client) == [1]


def test_a_queue_may_be_its_own_dead_letter_queue(client: Client) -> None:
    dead_letter_queue(client, _max_claim_count=1, _dead_letter_queue="q")
    post(client, "q", 1)
    assert claim_and_free(client) == [1]
    done(create(client), 204)
    assert claim_and_free(client) == [1]

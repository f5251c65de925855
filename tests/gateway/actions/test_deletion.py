"""Who may delete a message, and pop, through a socket in both forms (protocol.md sections 3 and 5)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.expect import UNKNOWN_ID, bodies, claim, done, is_uuid, misshapen, post, refused


def delete(client: Client, message_id: str, claim_id: str | None = None) -> Reply:
    body = {"queue_name": "q", "message_id": message_id}
    return client.request("message_delete", body if claim_id is None else {**body, "claim_id": claim_id})


def delete_many(client: Client, **fields: Any) -> Reply:
    return client.request("message_delete_many", {"queue_name": "q", **fields})


def everything(client: Client) -> list[Any]:
    return bodies(client, "q", include_claimed=True, include_delayed=True)


def test_a_free_message_is_deleted_once_and_for_all(client: Client) -> None:
    (message_id,) = post(client, "q", 1)
    for _ in range(2):
        assert done(delete(client, message_id), 204) == {}
    assert everything(client) == []


def test_a_delayed_message_can_be_deleted(client: Client) -> None:
    (message_id,) = post(client, "q", 1, delay=900)
    done(delete(client, message_id), 204)
    assert everything(client) == []


def test_a_claimed_message_needs_its_claim(client: Client) -> None:
    (message_id, other_id) = post(client, "q", 1, 2)
    held, other = claim(client, "q", limit=1), claim(client, "q", limit=1)
    reply = delete(client, message_id)
    refused(reply, 403)
    assert reply.body["exception"] == f"Message {message_id} is claimed"
    told = "This message is claimed; it cannot be deleted without a valid claim ID."
    assert reply.body["error"] == told
    refused(delete(client, message_id, other["claim_id"]), 403, "another claim")
    for claim_id in ("", "no claim", UNKNOWN_ID):
        reply = delete(client, message_id, claim_id)
        refused(reply, 400)
        assert reply.body["error"] == "The specified claim does not exist or has expired."
    assert everything(client) == [1, 2]
    done(delete(client, message_id, held["claim_id"].upper()), 204)
    done(delete(client, other_id, other["claim_id"]), 204)
    assert everything(client) == []


def test_a_free_message_is_not_deleted_for_a_claim(client: Client) -> None:
    first, free = post(client, "q", 1, 2)
    held = claim(client, "q", limit=1)
    reply = delete(client, free, held["claim_id"])
    refused(reply, 400)
    assert reply.body["error"] == "A claim was specified, but the message is not currently claimed."
    done(client.request("claim_delete", {"queue_name": "q", "claim_id": held["claim_id"]}), 204)
    refused(delete(client, first, held["claim_id"]), 400, "does not exist or has expired")


@pytest.mark.parametrize("message_id", ["", "no id", UNKNOWN_ID])
def test_an_unknown_message_is_as_good_as_deleted(client: Client, message_id: str) -> None:
    post(client, "q", 1)
    # Even for a claim that does not exist: the message is looked at first.
    for claim_id in (None, "no claim", UNKNOWN_ID):
        done(delete(client, message_id, claim_id), 204)
    assert everything(client) == [1]


def test_many_are_deleted_whoever_holds_them(client: Client) -> None:
    ids = post(client, "q", *range(20))
    claim(client, "q", limit=2)
    assert done(delete_many(client, message_ids=[*ids[:18], UNKNOWN_ID, "x"]), 204) == {}
    assert everything(client) == [18, 19]
    # The same message twice, and claims, which matter only where the operator says so.
    done(delete_many(client, message_ids=[ids[18], ids[18]], claim_ids=[UNKNOWN_ID]), 204)
    assert everything(client) == [19]


@pytest.mark.parametrize(
    "fields", [{}, {"message_ids": ["x"], "pop": 1}, {"message_ids": []}, {"message_ids": ["x"] * 21}]
)
def test_delete_many_has_from_1_to_20_ids_or_pop(client: Client, fields: dict[str, Any]) -> None:
    post(client, "q", 1)
    refused(delete_many(client, **fields), 400, "message_ids")
    assert everything(client) == [1]


@pytest.mark.parametrize("fields", [{"pop": "1"}, {"pop": True}, {"pop": 1.0}, {"message_ids": [1]}])
def test_delete_many_is_told_integers_and_strings(client: Client, fields: dict[str, Any]) -> None:
    misshapen(delete_many(client, **fields), *fields)


def test_pop_takes_the_first_free_messages(client: Client) -> None:
    ids = post(client, "q", *range(5), ttl=100)
    claim(client, "q", limit=1)
    post(client, "q", "later", delay=900)
    popped = done(delete_many(client, pop=2), 200)["messages"]
    assert [message["id"] for message in popped] == ids[1:3]
    assert [message["body"] for message in popped] == [1, 2]
    for message in popped:
        assert message.keys() >= {"id", "age", "ttl", "body", "claim_id", "claim_count"}
        assert message["ttl"] == 100
        assert is_uuid(message["claim_id"])
        assert message["claim_count"] == 1
    assert everything(client) == [0, 3, 4, "later"]
    assert len(done(delete_many(client, pop=20), 200)["messages"]) == 2
    assert done(delete_many(client, pop=20), 200) == {"messages": []}


@pytest.mark.parametrize("count", [0, 21, -1])
def test_pop_takes_from_1_to_20(client: Client, count: int) -> None:
    refused(delete_many(client, pop=count), 400, "pop", "1 to 20")


def test_where_the_operator_says_so_many_are_deleted_by_their_claims_only(strict_client: Client) -> None:
    client = strict_client
    ids = post(client, "q", *range(4))
    one, other = claim(client, "q", limit=1)["claim_id"], claim(client, "q", limit=1)["claim_id"]
    refused(delete_many(client, message_ids=ids[:1]), 400, "claim_ids")
    for unnamed in ([], ["no claim"]):
        refused(delete_many(client, message_ids=ids[:1], claim_ids=unnamed), 400, "claim_ids")
    misshapen(delete_many(client, message_ids=ids[:1], claim_ids=one), "claim_ids")
    for message_ids, claim_ids in (
        (ids[:2], [one]),  # the second is held by the other
        (ids[2:3], [one, other]),  # it is free
        (ids[:1], [UNKNOWN_ID]),
    ):
        refused(delete_many(client, message_ids=message_ids, claim_ids=claim_ids), 403, "nothing was deleted")
    assert everything(client) == [0, 1, 2, 3]
    done(delete_many(client, message_ids=[*ids[:2], UNKNOWN_ID], claim_ids=[one, other]), 204)
    assert everything(client) == [2, 3]
    assert len(done(delete_many(client, pop=2), 200)["messages"]) == 2


def test_where_the_operator_says_so_each_body_has_a_checksum(strict_client: Client) -> None:
    client = strict_client
    want = "MD5:" + hashlib.md5(b'{"a": [1, "\\u00fc"]}', usedforsecurity=False).hexdigest()
    first, nothing = post(client, "q", {"a": [1, "ü"]}, None)
    shown = done(client.request("message_get", {"queue_name": "q", "message_id": first}), 200)["messages"]
    assert shown["checksum"] == want
    without = done(client.request("message_get", {"queue_name": "q", "message_id": nothing}), 200)["messages"]
    assert "checksum" not in without
    stats = done(client.request("queue_get_stats", {"queue_name": "q"}), 200)["messages"]
    assert stats["oldest"]["checksum"] == want
    listed = done(client.request("message_list", {"queue_name": "q", "echo": True}), 200)["messages"]
    assert listed[0]["checksum"] == want
    held = claim(client, "q", limit=1)
    assert held["messages"][0]["checksum"] == want
    done(client.request("claim_delete", {"queue_name": "q", "claim_id": held["claim_id"]}), 204)
    assert done(delete_many(client, pop=1), 200)["messages"][0]["checksum"] == want

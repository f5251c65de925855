"""Messages through a socket, in both forms: posting, listing, reading (protocol.md sections 2, 3 and 5)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgpack
import pytest

from tests.gateway.actions.conftest import Connect
from tests.support.client import Client, Reply
from tests.support.expect import UNKNOWN_ID, bodies, claim, done, is_uuid, misshapen, pages, post, refused


def try_post(client: Client, *messages: Any, queue: str = "q") -> Reply:
    return client.request("message_post", {"queue_name": queue, "messages": list(messages)})


def get(client: Client, message_id: str, queue: str = "q") -> Any:
    reply = client.request("message_get", {"queue_name": queue, "message_id": message_id})
    return done(reply, 200)["messages"]


def test_a_post_creates_the_queue_and_tells_the_ids_in_order(client: Client) -> None:
    ids = post(client, "q", *range(5))
    assert all(map(is_uuid, ids))
    assert ids == sorted(set(ids))
    assert done(client.request("queue_list"), 200)["queues"] == [{"name": "q"}]
    assert [get(client, message_id)["body"] for message_id in ids] == list(range(5))


def test_a_message_is_shown_whole(client: Client) -> None:
    (message_id,) = post(client, "q", {"a": [1, None]}, ttl=300)
    shown = {"id": message_id, "claim_id": None, "ttl": 300, "age": 0, "body": {"a": [1, None]}}
    listed = done(client.request("message_list", {"queue_name": "q", "echo": True}), 200)
    many = {"queue_name": "q", "message_ids": [message_id]}
    for message in (
        get(client, message_id),
        *listed["messages"],
        *done(client.request("message_get_many", many), 200)["messages"],
    ):
        assert message["age"] in range(60)
        assert {**message, "age": 0} == shown
    assert isinstance(listed["marker"], str)


@pytest.mark.parametrize(
    "body",
    [None, True, 0, -(2**63), 2**64 - 1, 1.5, "", "\x00 ü 😀", [], {}, {"": [[], {}]}, "x" * 100_000],
    ids=lambda body: repr(body)[:20],
)
def test_any_value_is_a_body(client: Client, connect: Connect, body: Any) -> None:
    (message_id,) = post(client, "q", body)
    for form in ("json", "msgpack"):
        seen = get(connect(form=form), message_id)["body"]
        assert seen == body
        assert type(seen) is type(body)


@pytest.mark.parametrize(
    ("ttl", "accepted"),
    [
        (59, False),
        (60, True),
        (1_209_600, True),
        (1_209_601, False),
        (0, False),
        (-60, False),
        (2**63, False),
    ],
)
def test_a_ttl_is_from_60_seconds_to_14_days(client: Client, ttl: int, accepted: bool) -> None:
    reply = try_post(client, {"body": 1, "ttl": ttl})
    if accepted:
        assert get(client, done(reply, 201)["message_ids"][0])["ttl"] == ttl
    else:
        refused(reply, 400, "messages[0].ttl", "60", "1209600")


@pytest.mark.parametrize(("delay", "accepted"), [(-1, False), (0, True), (900, True), (901, False)])
def test_a_delay_is_from_0_to_900_seconds(client: Client, delay: int, accepted: bool) -> None:
    reply = try_post(client, {"body": 0}, {"body": 1, "delay": delay})
    if accepted:
        done(reply, 201)
        assert bodies(client, "q") == ([0, 1] if delay == 0 else [0])
    else:
        refused(reply, 400, "messages[1].delay", "0 to 900")


@pytest.mark.parametrize("field", ["ttl", "delay"])
@pytest.mark.parametrize("value", [60.0, "60", True, None, [60], {}])
def test_ttl_and_delay_are_integers(client: Client, field: str, value: Any) -> None:
    refused(try_post(client, {"body": 1}, {"body": 1, field: value}), 400, f"messages[1].{field}")
    assert done(client.request("queue_get_stats", {"queue_name": "q"}), 404)["messages"]["total"] == 0


def test_the_queue_says_ttl_and_delay_where_the_message_does_not(client: Client) -> None:
    (plain,) = post(client, "plain", 1)
    assert get(client, plain, "plain")["ttl"] == 3600
    metadata = {"_default_message_ttl": 120, "_default_message_delay": 900}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    ids = done(try_post(client, {"body": 1}, {"body": 2, "delay": 0}, {"body": 3, "ttl": 60}), 201)
    assert [get(client, message_id)["ttl"] for message_id in ids["message_ids"]] == [120, 120, 60]
    assert bodies(client, "q") == [2]
    assert bodies(client, "q", include_delayed=True) == [1, 2, 3]
    assert [message["body"] for message in claim(client, "q")["messages"]] == [2]


@pytest.mark.parametrize("message", [1, "x", None, [], [1]])
def test_a_message_is_an_object(client: Client, message: Any) -> None:
    refused(try_post(client, {"body": 1}, message), 400, "messages[1]")


def test_a_message_has_a_body_and_may_have_more(client: Client) -> None:
    refused(try_post(client, {"ttl": 60}), 400, "messages[0]", "body")
    done(try_post(client, {"body": 1, "priority": 5, "id": "mine"}), 201)


@pytest.mark.parametrize("messages", [{}, "x", None, 1, {"body": 1}])
def test_messages_are_a_list(client: Client, messages: Any) -> None:
    misshapen(client.request("message_post", {"queue_name": "q", "messages": messages}), "messages")


def test_a_post_has_from_1_to_1000_messages(client: Client) -> None:
    refused(try_post(client), 400, "1 to 1000")
    refused(try_post(client, *[{"body": 1}] * 1001), 400, "1 to 1000")
    assert len(done(try_post(client, *[{"body": 1}] * 1000), 201)["message_ids"]) == 1000


def encoded_size(client: Client, messages: Any) -> int:
    return len(json.dumps(messages) if client.form == "json" else msgpack.packb(messages))


@pytest.mark.parametrize("limit", [262_144, 1_000])
def test_the_size_of_a_post_is_that_of_its_encoded_messages(client: Client, limit: int) -> None:
    metadata = {} if limit == 262_144 else {"_max_messages_post_size": limit}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    filler = "x" * (limit - 100)
    filler += "x" * (limit - encoded_size(client, [{"body": filler}]))
    assert encoded_size(client, [{"body": filler}]) == limit
    done(try_post(client, {"body": filler}), 201)
    refused(try_post(client, {"body": filler + "x"}), 400, str(limit + 1), str(limit))


def test_a_post_that_is_refused_stores_nothing(client: Client) -> None:
    done(client.request("queue_create", {"queue_name": "q"}), 201)
    refused(try_post(client, *[{"body": 1}] * 10, {"body": 1, "ttl": 1}), 400, "messages[10].ttl")
    assert bodies(client, "q") == []


def test_own_messages_are_listed_only_with_echo(client: Client, connect: Connect) -> None:
    other = connect()
    post(client, "q", "mine")
    post(other, "q", "theirs")
    assert bodies(client, "q") == ["mine", "theirs"]
    assert bodies(client, "q", echo=False) == ["theirs"]
    assert bodies(other, "q", echo=False) == ["mine"]
    unsaid = done(client.request("message_list", {"queue_name": "q"}), 200)
    assert [message["body"] for message in unsaid["messages"]] == ["theirs"]


@pytest.mark.parametrize("spelling", ["{0}", "{{{0}}}", "urn:uuid:{0}"])
def test_a_client_is_the_same_however_its_uuid_is_written(client: Client, spelling: str) -> None:
    post(client, "q", 1)
    for text in (spelling.format(client.client_id), uuid.UUID(client.client_id).hex.upper()):
        reply = client.request("message_list", {"queue_name": "q"}, headers={"Client-ID": text})
        assert done(reply, 200)["messages"] == []


@pytest.mark.parametrize("client_id", ["", "me", "1234567890", UNKNOWN_ID + "0"])
def test_the_client_is_a_uuid_for_post_and_list_only(client: Client, client_id: str) -> None:
    headers = {"Client-ID": client_id}
    post(client, "q", 1)
    listing: dict[str, Any] = {"queue_name": "q", "echo": True}
    refused(client.request("message_list", listing, headers), 400, "badly formed hexadecimal UUID string")
    posting = {"queue_name": "q", "messages": [{"body": 1}]}
    refused(client.request("message_post", posting, headers), 400, "badly formed hexadecimal UUID string")
    done(client.request("claim_create", {"queue_name": "q"}, headers), 201)


@pytest.mark.parametrize("limit", range(1, 21))
def test_paging_with_any_limit_visits_every_message_once(client: Client, limit: int) -> None:
    post(client, "q", *range(25))
    assert pages(client, "q", limit, echo=True) == list(range(25))


def test_a_list_has_from_1_to_20_and_10_unless_told(client: Client) -> None:
    post(client, "q", *range(25))
    assert bodies(client, "q") == list(range(10))
    for limit in (0, 21, -1):
        refused(client.request("message_list", {"queue_name": "q", "limit": limit}), 400, "limit", "1 to 20")


@pytest.mark.parametrize("queue", ["missing", "not a name"])
def test_what_a_missing_queue_says(client: Client, queue: str) -> None:
    where = {"queue_name": queue}
    reply = client.request("message_list", where)
    refused(reply, 404)
    assert reply.body["exception"] == f"Queue {queue} does not exist for project {client.project}"
    assert reply.body["error"] is None
    refused(client.request("message_get", {**where, "message_id": UNKNOWN_ID}), 404, UNKNOWN_ID)
    assert done(client.request("message_get_many", {**where, "message_ids": ["x"]}), 200) == {"messages": []}
    assert done(client.request("message_delete", {**where, "message_id": "x"}), 204) == {}
    assert done(client.request("message_delete_many", {**where, "message_ids": ["x"]}), 204) == {}
    assert done(client.request("message_delete_many", {**where, "pop": 1}), 200) == {"messages": []}


def test_many_are_read_in_the_order_they_were_asked_for(client: Client) -> None:
    ids = post(client, "q", *range(20))
    asked = {"queue_name": "q", "message_ids": [*reversed(ids[:18]), UNKNOWN_ID, "no id"]}
    found = done(client.request("message_get_many", asked), 200)["messages"]
    assert [message["body"] for message in found] == list(reversed(range(18)))
    for message_ids in ([], [*ids, UNKNOWN_ID]):
        body = {"queue_name": "q", "message_ids": message_ids}
        refused(client.request("message_get_many", body), 400, "1 to 20")
    misshapen(client.request("message_get_many", {"queue_name": "q", "message_ids": [5]}), "message_ids")


@pytest.mark.parametrize("message_id", ["", "no id", UNKNOWN_ID, UNKNOWN_ID.upper(), "x" * 5000])
def test_what_is_no_id_is_not_found(client: Client, message_id: str) -> None:
    post(client, "q", 1)
    refused(client.request("message_get", {"queue_name": "q", "message_id": message_id}), 404, message_id)

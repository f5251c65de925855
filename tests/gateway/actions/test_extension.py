"""Request ids, no echo, dedup_ids and `describe`: sockets that have agreed on protocol.extension."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway import __version__
from protocol.extension import FEATURES, SUBPROTOCOL
from schemas.actions import SHAPES
from tests.support.client import Client, encode
from tests.support.expect import bodies, done, misshapen, refused
from tests.support.gateway import ROOT


def ask(client: Client, action: str, body: Any = None, **more: Any) -> dict[str, Any]:
    """The whole reply to a request with further top-level fields."""
    headers = {"Client-ID": client.client_id, "X-Project-ID": client.project}
    client.send_raw(encode({"action": action, "headers": headers, "body": body or {}, **more}, client.form))
    return client.receive_reply().document


def test_replies_have_the_ids_of_their_requests(extended: Client) -> None:
    assert ask(extended, "ping_node", id="one")["id"] == "one"
    assert ask(extended, "ping_node", id=2**53 - 1)["id"] == 2**53 - 1
    assert "id" not in ask(extended, "ping_node")


def test_refusals_of_every_kind_have_them_too(extended: Client) -> None:
    missing = {"queue_name": "q", "message_id": "none"}
    for action, body, status in (
        ("nothing", {}, 400),
        ("queue_create", {"queue_name": 5}, 400),
        ("queue_create", {"queue_name": "a b"}, 400),
        ("message_get", missing, 404),
    ):
        reply = ask(extended, action, body, id=7, echo=False)
        assert (reply["id"], reply["headers"]["status"]) == (7, status)
        assert "request" not in reply


def test_requests_that_are_sent_together_are_told_apart_by_their_ids(extended: Client) -> None:
    headers = {"Client-ID": extended.client_id, "X-Project-ID": extended.project}
    for number in range(20):
        request = {"action": "ping_node", "headers": headers, "id": number, "echo": False}
        extended.send_raw(encode(request, extended.form))
    replies = [extended.receive_reply().document for _ in range(20)]
    assert replies == [{"id": number, "body": {}, "headers": {"status": 204}} for number in range(20)]


def test_an_id_of_another_kind_is_refused(extended: Client) -> None:
    headers = {"Client-ID": extended.client_id, "X-Project-ID": extended.project}
    extended.send_raw(encode({"action": "ping_node", "headers": headers, "id": 1.5}, extended.form))
    misshapen(extended.receive_reply(), "id: ")


def test_a_socket_without_the_extension_ignores_them(client: Client) -> None:
    reply = ask(client, "ping_node", id=[1], echo="no")
    assert reply.keys() == {"request", "body", "headers"}
    assert reply["headers"]["status"] == 204


def test_describe(extended: Client) -> None:
    told = done(extended.request("describe"), 200)
    assert told["version"] == __version__
    assert told["subprotocol"] == SUBPROTOCOL
    assert told["actions"] == sorted(SHAPES)
    assert told["features"] == list(FEATURES)
    assert told["limits"]["max_messages_per_post"] == 1000
    assert told["limits"]["dedup_window"] == 600
    assert done(extended.request("describe", {}), 200).keys() == told.keys()


def test_describe_tells_the_schemas_if_asked(extended: Client) -> None:
    assert "schemas" not in done(extended.request("describe", {"schemas": False}), 200)
    schemas = done(extended.request("describe", {"schemas": True}), 200)["schemas"]
    files = {path.stem: path for path in (ROOT / "schemas" / "json").glob("*.json")}
    del files["asyncapi"]  # it is made of them
    assert schemas == {name: json.loads(path.read_text()) for name, path in files.items()}
    for action in SHAPES:
        assert {f"{action}.request", f"{action}.reply"} <= schemas.keys()


def test_describe_is_no_action_elsewhere(client: Client) -> None:
    reply = client.request("describe")
    assert reply.status == 400
    assert reply.body["code"] == "unknown_action"


def post_once(client: Client, *messages: tuple[Any, Any]) -> list[str]:
    """Post bodies with their dedup_ids (None: without); the ids of the messages."""
    sent = [
        {"body": body} if dedup_id is None else {"body": body, "dedup_id": dedup_id}
        for body, dedup_id in messages
    ]
    told = done(client.request("message_post", {"queue_name": "q", "messages": sent}), 201)
    ids: list[str] = told["message_ids"]
    return ids


def test_a_repeated_post_answers_the_first_ids_and_stores_nothing(extended: Client) -> None:
    first = post_once(extended, (1, "a"), (2, None), (3, "b"), (4, "a"))
    assert first[3] == first[0]
    again = post_once(extended, (5, "b"), (6, "\u00e9" * 64))
    assert again[0] == first[2]
    assert bodies(extended, "q") == [1, 2, 3, 6]


@pytest.mark.parametrize("dedup_id", [5, None, "", ["a"], "x" * 129, "\u00e9" * 65])
def test_a_dedup_id_is_a_string_that_is_not_too_long(extended: Client, dedup_id: Any) -> None:
    messages = [{"body": 1, "dedup_id": "good"}, {"body": 2, "dedup_id": dedup_id}]
    reply = extended.request("message_post", {"queue_name": "q", "messages": messages})
    refused(reply, 400, "messages[1].dedup_id")
    assert done(extended.request("queue_list"), 200)["queues"] == []


@pytest.mark.parametrize("dedup_id", ["a", 5, {"b": 1}])
def test_elsewhere_a_dedup_id_is_ignored(client: Client, dedup_id: Any) -> None:
    first = post_once(client, (1, dedup_id), (2, dedup_id))
    assert first[0] != first[1]
    assert bodies(client, "q") == [1, 2]

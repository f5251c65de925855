"""queue_update: a JSON patch of the metadata, through a socket (protocol.md section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.expect import done, misshapen, post, refused

DEFAULTS = {
    "_max_messages_post_size": 262_144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


def update(client: Client, *patch: dict[str, Any], queue: str = "q") -> Reply:
    return client.request("queue_update", {"queue_name": queue, "patch": list(patch)})


def step(op: str, key: str, *value: Any) -> dict[str, Any]:
    return {"op": op, "path": f"/metadata/{key}"} | ({"value": value[0]} if value else {})


def metadata_of(client: Client) -> Any:
    return done(client.request("queue_get", {"queue_name": "q"}), 200)


@pytest.fixture
def queue(client: Client) -> Client:
    done(client.request("queue_create", {"queue_name": "q", "metadata": {"a": 1, "b": 2}}), 201)
    return client


def test_a_patch_adds_replaces_and_removes(queue: Client) -> None:
    reply = update(queue, step("add", "c", [3]), step("replace", "a", {"deep": None}), step("remove", "b"))
    assert done(reply, 200) == {**DEFAULTS, "a": {"deep": None}, "c": [3]}
    assert metadata_of(queue) == {"a": {"deep": None}, "c": [3]}


def test_adding_what_is_there_replaces_it(queue: Client) -> None:
    assert done(update(queue, step("add", "a", 5)), 200)["a"] == 5


def test_steps_see_what_the_steps_before_did(queue: Client) -> None:
    done(update(queue, step("add", "c", 1), step("replace", "c", 2), step("remove", "a")), 200)
    assert metadata_of(queue) == {"b": 2, "c": 2}


def test_an_empty_patch_tells_the_metadata(queue: Client) -> None:
    assert done(update(queue), 200) == {**DEFAULTS, "a": 1, "b": 2}


def test_keys_are_json_pointers(queue: Client) -> None:
    done(update(queue, step("add", "x~1y~0z", 1)), 200)
    assert metadata_of(queue)["x/y~z"] == 1


@pytest.mark.parametrize("op", ["replace", "remove"])
def test_what_is_missing_is_a_conflict_and_nothing_changes(queue: Client, op: str) -> None:
    refused(update(queue, step("add", "c", 3), step(op, "missing", 1)), 409, "missing")
    assert metadata_of(queue) == {"a": 1, "b": 2}


def test_reserved_keys_stand_at_their_defaults(queue: Client) -> None:
    assert done(update(queue, step("replace", "_default_message_ttl", 60)), 200)["_default_message_ttl"] == 60
    assert done(update(queue, step("remove", "_default_message_ttl")), 200) == {**DEFAULTS, "a": 1, "b": 2}
    done(update(queue, step("remove", "_max_claim_count")), 200)


def test_a_change_is_in_force_at_once(queue: Client) -> None:
    done(update(queue, step("add", "_default_message_ttl", 77)), 200)
    (message_id,) = post(queue, "q", "x")
    got = done(queue.request("message_get", {"queue_name": "q", "message_id": message_id}), 200)
    assert got["messages"]["ttl"] == 77
    done(update(queue, step("add", "_max_messages_post_size", 40)), 200)
    too_long = {"queue_name": "q", "messages": [{"body": "x" * 40}]}
    refused(queue.request("message_post", too_long), 400, "40")


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (step("add", "_default_message_ttl", 59), "_default_message_ttl"),
        (step("add", "_max_claim_count", True), "_max_claim_count"),
        (step("add", "x", "x" * 70_000), "65536"),
        (step("add", "x"), "needs a value"),
        (step("replace", "a"), "needs a value"),
        ({"op": "add", "path": "/metadata", "value": {}}, "/metadata/<key>"),
        ({"op": "add", "path": "", "value": {}}, "/metadata/<key>"),
        ({"op": "add", "path": "/a", "value": {}}, "/metadata/<key>"),
        ({"op": "add", "path": "metadata/a", "value": {}}, "/metadata/<key>"),
        ({"op": "add", "path": "/metadata/a/b", "value": {}}, "/metadata/<key>"),
    ],
)
def test_what_no_patch_may_do(queue: Client, bad: dict[str, Any], word: str) -> None:
    refused(update(queue, step("add", "c", 3), bad), 400, word)
    assert metadata_of(queue) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "add", "path": "/metadata/a", "value": 1},
        [1],
        [{}],
        [{"op": "add", "value": 1}],
        [{"op": "move", "path": "/metadata/a", "from": "/metadata/b"}],
        [{"op": "add", "path": 1, "value": 1}],
        None,
    ],
)
def test_a_patch_is_a_list_of_steps(queue: Client, patch: Any) -> None:
    misshapen(queue.request("queue_update", {"queue_name": "q", "patch": patch}), "patch")


def test_a_missing_queue_is_not_created(client: Client) -> None:
    refused(update(client, step("add", "a", 1)), 404, "does not exist")
    assert done(client.request("queue_list"), 200)["queues"] == []


def test_no_change_is_lost_when_several_change_at_once(queue: Client) -> None:
    for number in range(20):
        queue.send("queue_update", {"queue_name": "q", "patch": [step("add", f"k{number}", number)]})
    for _ in range(20):
        done(queue.receive_reply(), 200)
    assert len(metadata_of(queue)) == 22

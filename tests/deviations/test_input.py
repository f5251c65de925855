"""docs/compatibility.md, 24 to 29: what is refused with a 400, and what is not."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from tests.deviations.conftest import Connect
from tests.support.client import Client, Form
from tests.support.expect import bodies, done, misshapen, post, refused


@pytest.mark.parametrize("value", [True, False, 10.0, "10", None, [10], {}])
def test_24_only_integers_are_integers(client: Client, value: Any) -> None:
    misshapen(client.request("queue_list", {"limit": value}), "limit")
    misshapen(client.request("claim_create", {"queue_name": "q", "ttl": value}), "ttl")
    refused(client.request("message_post", {"queue_name": "q", "messages": [{"body": 1, "ttl": value}]}), 400)


@pytest.mark.parametrize("value", [0, 1, "true", None, []])
def test_24_only_booleans_are_booleans(client: Client, value: Any) -> None:
    misshapen(client.request("message_list", {"queue_name": "q", "echo": value}), "echo")
    misshapen(client.request("queue_list", {"detailed": value}), "detailed")


@pytest.mark.parametrize("value", [5, True, None, [], {}])
def test_24_only_strings_are_strings(client: Client, value: Any) -> None:
    for action, field in (
        ("queue_get", "queue_name"),
        ("message_get", "message_id"),
        ("claim_get", "claim_id"),
        ("subscription_get", "subscription_id"),
        ("message_list", "marker"),
    ):
        misshapen(client.request(action, {"queue_name": "q", field: value}), field)
    misshapen(client.request("message_get_many", {"queue_name": "q", "message_ids": [value]}), "message_ids")


@pytest.mark.parametrize("value", [-1, 0, 2**31, 2**53, 2**63, 2**64 - 1, -(2**63)])
def test_24_integers_out_of_range_are_refused(client: Client, value: int) -> None:
    refused(client.request("queue_list", {"limit": value}), 400, "1 to 20")
    refused(client.request("claim_create", {"queue_name": "q", "grace": value}), 400, "60 to 43200")
    posting = {"queue_name": "q", "messages": [{"body": 1, "ttl": value}]}
    refused(client.request("message_post", posting), 400, "60 to 1209600")


def size(client: Client, value: Any) -> int:
    """The bytes of a value as this client encodes it."""
    return len(json.dumps(value) if client.form == "json" else msgpack.packb(value))


@pytest.mark.parametrize("filler", ["x", "ü", "😀"])
def test_25_the_size_of_a_post_is_counted_in_bytes_and_the_limit_told(client: Client, filler: str) -> None:
    limit = 2000
    metadata = {"_max_messages_post_size": limit}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    messages = [{"body": filler}]
    while size(client, [{"body": messages[0]["body"] + filler}]) <= limit:
        messages[0]["body"] += filler
    post(client, "q", messages[0]["body"])
    messages[0]["body"] += filler
    refused(
        client.request("message_post", {"queue_name": "q", "messages": messages}), 400, f"at most {limit} "
    )


@pytest.mark.parametrize("filler", ["x", "😀"])
def test_25_the_size_of_metadata_is_counted_in_bytes_and_the_limit_told(client: Client, filler: str) -> None:
    limit = 65_536
    each = size(client, filler * 1000) // 1000
    metadata = {"a": filler * ((limit - 20) // each)}
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    metadata["a"] += filler * 20
    refused(
        client.request("queue_create", {"queue_name": "r", "metadata": metadata}), 400, f"at most {limit} "
    )


def test_26_a_websocket_subscriber_has_confirmed_by_connecting(client: Client) -> None:
    done(client.request("subscription_create", {"queue_name": "q"}), 201)
    post(client, "q", 1)
    assert [item["body"] for item in client.wait_notifications(1)] == [1]


def test_27_notifications_have_the_form_of_their_own_subscription(client: Client) -> None:
    """Whatever the connection subscribed to, or sent, since."""
    first: Form = client.form
    other: Form = "msgpack" if first == "json" else "json"
    kinds: dict[Form, type] = {"json": str, "msgpack": bytes}
    done(client.request("subscription_create", {"queue_name": first}), 201)
    client.form = other
    done(client.request("subscription_create", {"queue_name": other}), 201)
    for queue in (first, other, first):
        client.send("message_post", {"queue_name": queue, "messages": [{"body": queue}]})
        reply, notification = client.socket.recv(timeout=30), client.socket.recv(timeout=30)
        assert isinstance(reply, kinds[other])
        assert isinstance(notification, kinds[queue])


def test_28_a_project_has_a_name(client: Client) -> None:
    for action, body in (("queue_list", {}), ("queue_create", {"queue_name": "q"}), ("ping_node", {})):
        refused(client.request(action, body, {"X-Project-ID": ""}), 400, "project")
    refused(client.request("authenticate", {}, {"X-Project-ID": "", "X-Auth-Token": "t"}), 400, "project")


@pytest.mark.parametrize("name", ["q\n", "\nq", "q\r", "q\x00", " q", "q ", "q\u2028"])
def test_28_a_queue_name_matches_as_a_whole(client: Client, name: str) -> None:
    refused(client.request("queue_create", {"queue_name": name}), 400, "queue name")
    refused(
        client.request("message_post", {"queue_name": name, "messages": [{"body": 1}]}), 400, "queue name"
    )
    assert done(client.request("queue_list"), 200)["queues"] == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"_dead_letter_queue": "not a name"},
        {"_dead_letter_queue": ["dead"]},
        {"_flavor": 1},
        {"_max_claim_count": -1},
        {"_max_claim_count": 1.5},
        {"_enable_encrypt_messages": 1},
        {"_default_message_ttl": 59},
        {"_default_message_delay": 901},
        {"_max_messages_post_size": 0},
        {"_dead_letter_queue_messages_ttl": 1},
        {"_retry_policy": {"retries_with_no_delay": -1}},
        {"_retry_policy": {"minimum_delay": 30, "maximum_delay": 31}},
    ],
)
def test_29_reserved_metadata_have_types_and_ranges(client: Client, metadata: dict[str, Any]) -> None:
    (key,) = metadata
    refused(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 400, key)
    done(client.request("queue_create", {"queue_name": "q"}), 201)
    patch = [{"op": "add", "path": f"/metadata/{key}", "value": metadata[key]}]
    refused(client.request("queue_update", {"queue_name": "q", "patch": patch}), 400, key)
    assert done(client.request("queue_get", {"queue_name": "q"}), 200) == {}


@pytest.mark.parametrize("metadata", ["text", [], [["a", 1]], 1, True])
def test_29_metadata_are_an_object_or_null(client: Client, metadata: Any) -> None:
    refused(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 400, "metadata")
    done(client.request("queue_create", {"queue_name": "q", "metadata": None}), 201)


@pytest.mark.parametrize("ttl", [0, -1, 59])
def test_29_a_subscription_lives_for_a_while(client: Client, ttl: int) -> None:
    refused(client.request("subscription_create", {"queue_name": "q", "ttl": ttl}), 400, "ttl")
    assert done(client.request("queue_list"), 200)["queues"] == []


@pytest.mark.parametrize("subscriber", ["http://", "https:///x", "trust+http://:80/", "http://?x", "mailto:"])
def test_29_a_subscriber_has_a_host(client: Client, subscriber: str) -> None:
    body = {"queue_name": "q", "subscriber": subscriber}
    refused(client.request("subscription_create", body), 400, "subscriber")


def test_29_null_in_a_reserved_key_is_as_if_it_were_not_there(client: Client, connect: Connect) -> None:
    metadata = dict.fromkeys(("_default_message_ttl", "_max_claim_count", "_dead_letter_queue", "_flavor"))
    done(client.request("queue_create", {"queue_name": "q", "metadata": metadata}), 201)
    (message_id,) = post(client, "q", 1)
    shown = done(client.request("message_get", {"queue_name": "q", "message_id": message_id}), 200)
    assert shown["messages"]["ttl"] == 3600
    assert bodies(connect(project=client.project), "q") == [1]

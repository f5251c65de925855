"""Queues through a socket, in both forms (protocol.md sections 2, 3, 5 and 8)."""

from __future__ import annotations

import string
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.expect import bodies, claim, done, misshapen, post, refused

LONGEST_NAME = "n" * 64


def create(client: Client, name: str = "q", metadata: Any = None) -> Reply:
    return client.request("queue_create", {"queue_name": name, "metadata": metadata})


def metadata_of(client: Client, name: str = "q") -> Any:
    return done(client.request("queue_get", {"queue_name": name}), 200)


def test_a_queue_is_created_once_and_keeps_its_metadata(client: Client) -> None:
    assert done(create(client, metadata={"a": 1}), 201) == "Queue q created."
    assert done(create(client, metadata={"a": 2}), 204) == "Queue q created."
    assert metadata_of(client) == {"a": 1}


@pytest.mark.parametrize("name", ["n", LONGEST_NAME, string.ascii_letters, string.digits + "_-."])
def test_a_legal_name(client: Client, name: str) -> None:
    assert done(client.request("queue_create", {"queue_name": name}), 201) == f"Queue {name} created."
    assert done(client.request("queue_list", {}), 200)["queues"] == [{"name": name}]


@pytest.mark.parametrize("name", ["", LONGEST_NAME + "n", "a b", "a/b", "ä", "a\n", "\x00", "a:b", "{a}"])
@pytest.mark.parametrize("action", ["queue_create", "message_post", "subscription_create", "queue_update"])
def test_an_illegal_name_is_refused_by_what_could_create_it(client: Client, action: str, name: str) -> None:
    body: dict[str, Any] = {"queue_name": name}
    body |= {"messages": [{"body": 1}]} if action == "message_post" else {"patch": []}
    refused(client.request(action, body), 400, "1 to 64")


@pytest.mark.parametrize("name", ["", LONGEST_NAME + "n", "a b", "a\n"])
def test_an_illegal_name_is_elsewhere_one_of_no_queue(client: Client, name: str) -> None:
    assert metadata_of(client, name) == {}
    assert done(client.request("queue_delete", {"queue_name": name}), 204) == f"Queue {name} removed."
    refused(client.request("message_list", {"queue_name": name}), 404, "does not exist")


@pytest.mark.parametrize("metadata", [None, {}, {"a": [1, {"b": None}], "ü": "ü", "": 1.5, "_own": True}])
def test_metadata_come_back_as_they_were(client: Client, metadata: Any) -> None:
    done(create(client, metadata=metadata), 201)
    assert metadata_of(client) == (metadata or {})


@pytest.mark.parametrize("metadata", ["text", [], 1, True, 1.5])
def test_metadata_are_an_object(client: Client, metadata: Any) -> None:
    refused(create(client, metadata=metadata), 400, "metadata must be an object")
    assert done(client.request("queue_list", {}), 200)["queues"] == []


def test_metadata_have_at_most_65536_bytes(client: Client) -> None:
    # {"a":"…"} with the separators of this client: 9 bytes around the text in JSON, 6 in MessagePack.
    around = len('{"a": ""}') if client.form == "json" else 1 + 2 + 3
    done(create(client, "fits", {"a": "x" * (65_536 - around)}), 201)
    refused(create(client, "too-long", {"a": "x" * (65_537 - around)}), 400, "65537", "65536")


RESERVED: list[tuple[str, list[Any], list[Any]]] = [
    ("_default_message_ttl", [60, 1_209_600, None], [59, 1_209_601, 60.0, "60", True, [], {}]),
    ("_default_message_delay", [0, 900, None], [-1, 901, 0.0, "0", False, []]),
    ("_max_messages_post_size", [1, 262_144, None], [0, 262_145, 1.0, "1", True]),
    ("_dead_letter_queue", ["dead", "a" * 64, None], ["", "a b", "a" * 65, "dead\n", 5, True, ["dead"]]),
    ("_dead_letter_queue_messages_ttl", [60, 1_209_600, None], [59, 1_209_601, "60", True]),
    ("_max_claim_count", [0, 1, 10**6, None], [-1, 1.0, "1", True]),
    ("_enable_encrypt_messages", [True, False, None], [0, 1, "true"]),
    ("_flavor", ["gold", None], [1, True, ["gold"]]),
    ("_retry_policy", [{}, {"retries_with_no_delay": 0}, None], [[], "linear", 1, {"minimum_delay": -1}]),
]


@pytest.mark.parametrize(("key", "good", "bad"), RESERVED, ids=[key for key, _, _ in RESERVED])
def test_reserved_metadata_have_types_and_ranges(
    client: Client, key: str, good: list[Any], bad: list[Any]
) -> None:
    for number, value in enumerate(good):
        done(create(client, f"good-{number}", {key: value}), 201)
        assert metadata_of(client, f"good-{number}") == {key: value}
    for value in bad:
        refused(create(client, "bad", {key: value}), 400, key)
    assert metadata_of(client, "bad") == {}


def test_queues_are_listed_by_name_with_any_limit(client: Client) -> None:
    names = sorted(["B", "a", "a.b", "a_b", "a-b", "Z", "0", "zz", "z", *(f"n{i}" for i in range(15))])
    for name in reversed(names):
        done(create(client, name), 201)
    for limit in (1, 2, 7, 19, 20):
        seen: list[str] = []
        marker = None
        while True:
            page = {"limit": limit} if marker is None else {"limit": limit, "marker": marker}
            body = done(client.request("queue_list", page), 200)
            seen += [queue["name"] for queue in body["queues"]]
            if len(body["queues"]) < limit:
                break
            marker = body["marker"]
            assert marker == seen[-1]
        assert seen == names
    assert len(done(client.request("queue_list"), 200)["queues"]) == 10


def test_a_list_of_queues_goes_on_behind_a_name_that_is_gone(client: Client) -> None:
    for name in ("a", "c"):
        done(create(client, name, {"k": name}), 201)
    assert done(client.request("queue_list", {"marker": "b"}), 200)["queues"] == [{"name": "c"}]
    assert done(client.request("queue_list", {"marker": "c"}), 200) == {"queues": [], "marker": None}
    detailed = done(client.request("queue_list", {"detailed": True}), 200)["queues"]
    assert detailed == [{"name": "a", "metadata": {"k": "a"}}, {"name": "c", "metadata": {"k": "c"}}]


@pytest.mark.parametrize("limit", [0, 21, -1, 10**12])
def test_a_list_of_queues_has_from_1_to_20(client: Client, limit: int) -> None:
    refused(client.request("queue_list", {"limit": limit}), 400, "limit must be from 1 to 20")


def test_a_deleted_queue_takes_everything_with_it(client: Client) -> None:
    post(client, "q", 1, 2)
    held = claim(client, "q", limit=1)
    done(client.request("subscription_create", {"queue_name": "q", "subscriber": "http://a.example/"}), 201)
    for _ in range(2):
        assert done(client.request("queue_delete", {"queue_name": "q"}), 204) == "Queue q removed."
    refused(client.request("message_list", {"queue_name": "q"}), 404)
    done(create(client), 201)
    assert bodies(client, "q", include_claimed=True) == []
    refused(client.request("claim_get", {"queue_name": "q", "claim_id": held["claim_id"]}), 404)
    listed = done(client.request("subscription_list", {"queue_name": "q"}), 200)
    assert listed["subscriptions"] == []


def stats(client: Client) -> Any:
    return done(client.request("queue_get_stats", {"queue_name": "q"}), 200)["messages"]


def test_statistics_count_and_show_both_ends(client: Client) -> None:
    nothing = {"claimed": 0, "free": 0, "total": 0}
    assert done(client.request("queue_get_stats", {"queue_name": "q"}), 404) == {"messages": nothing}
    done(create(client), 201)
    assert stats(client) == nothing
    ids = post(client, "q", "first", "second", {"third": 3}, ttl=100)
    held = claim(client, "q", limit=1)
    seen = stats(client)
    assert (seen["claimed"], seen["free"], seen["total"]) == (1, 2, 3)
    oldest, newest = seen["oldest"], seen["newest"]
    assert (
        oldest.keys() == newest.keys() == {"id", "age", "ttl", "body", "claim_id", "claim_count", "created"}
    )
    assert (oldest["id"], oldest["body"], oldest["claim_id"]) == (ids[0], "first", held["claim_id"])
    assert (newest["id"], newest["body"], newest["claim_id"]) == (ids[2], {"third": 3}, None)
    assert (oldest["claim_count"], newest["claim_count"], newest["ttl"]) == (1, 0, 100)
    assert newest["created"].endswith("Z")
    assert len(newest["created"]) == len("2026-01-31T23:59:59Z")


def test_delayed_messages_count_as_free(client: Client) -> None:
    post(client, "q", "later", delay=900)
    assert stats(client)["free"] == stats(client)["total"] == 1


def test_a_purge_takes_what_it_is_told_to(client: Client) -> None:
    def subscriptions() -> int:
        return len(done(client.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"])

    def fill() -> None:
        post(client, "q", 1, 2)
        claim(client, "q", limit=1)
        subscriber = {"queue_name": "q", "subscriber": "http://a.example/"}
        assert client.request("subscription_create", subscriber).status in (201, 409)

    cases: list[tuple[dict[str, Any], int, int]] = [
        ({"resource_types": []}, 2, 1),
        ({"resource_types": ["messages"]}, 0, 1),
        ({"resource_types": ["subscriptions"]}, 2, 0),
        ({"resource_types": ["subscriptions", "messages"]}, 0, 0),
        ({}, 0, 0),
    ]
    for further, messages_left, subscriptions_left in cases:
        done(client.request("queue_purge", {"queue_name": "q"}), 204)
        fill()
        assert done(client.request("queue_purge", {"queue_name": "q", **further}), 204) == {}
        assert (stats(client)["total"], subscriptions()) == (messages_left, subscriptions_left)


def test_a_purge_of_what_is_not_there(client: Client) -> None:
    assert done(client.request("queue_purge", {"queue_name": "missing"}), 204) == {}
    unknown = {"queue_name": "q", "resource_types": ["messages", "claims"]}
    refused(client.request("queue_purge", unknown), 400, "claims")
    misshapen(
        client.request("queue_purge", {"queue_name": "q", "resource_types": "messages"}), "resource_types"
    )
    misshapen(client.request("queue_purge", {"queue_name": "q", "resource_types": [1]}), "resource_types")

"""docs/compatibility.md, 17 to 20: lists and deletions, right where upstream's are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deviations.conftest import Connect
from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID, bodies, claim, done, pages, post, refused


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 20])
def test_17_the_filters_work_with_and_without_a_marker(client: Client, connect: Connect, limit: int) -> None:
    other = connect(form=client.form, project=client.project)
    # The own messages, those of the other, claimed ones and delayed ones are mixed.
    for number in range(12):
        who = client if number % 3 else other
        post(who, "q", number, delay=900 if number % 4 == 0 else 0)
    claimed = [message["body"] for message in claim(client, "q", limit=3)["messages"]]
    assert claimed == [1, 2, 3]
    everything = set(range(12))
    delayed, own = {0, 4, 8}, {number for number in everything if number % 3}
    for echo in (False, True):
        for include_claimed in (False, True):
            for include_delayed in (False, True):
                want = everything - (set() if echo else own)
                want -= set() if include_claimed else set(claimed)
                want -= set() if include_delayed else delayed
                flags = {"echo": echo, "include_claimed": include_claimed, "include_delayed": include_delayed}
                assert pages(client, "q", limit, **flags) == sorted(want), flags


def test_17_a_page_is_full_when_enough_match(client: Client, connect: Connect) -> None:
    other = connect(form=client.form, project=client.project)
    for _ in range(4):
        post(client, "q", *["own"] * 500)
    post(other, "q", *range(20))
    assert bodies(client, "q", echo=False, limit=20) == list(range(20))
    claim(client, "q", limit=20)
    assert bodies(client, "q", echo=False, limit=20) == list(range(20))


def test_17_a_marker_goes_on_from_where_its_message_was(client: Client) -> None:
    ids = post(client, "q", *range(6))
    for marker in (ids[2], ids[2].upper()):
        assert bodies(client, "q", marker=marker) == [3, 4, 5]
    for gone in (2, 3):
        done(client.request("message_delete", {"queue_name": "q", "message_id": ids[gone]}), 204)
    assert bodies(client, "q", marker=ids[2]) == [4, 5]
    page = {"queue_name": "q", "echo": True, "limit": 1}
    position = done(client.request("message_list", page), 200)["marker"]
    done(client.request("message_delete", {"queue_name": "q", "message_id": ids[0]}), 204)
    assert bodies(client, "q", marker=position) == [1, 4, 5]
    assert bodies(client, "q", marker=ids[5]) == []


def test_17_a_claimed_or_delayed_message_is_a_marker_too(client: Client) -> None:
    ids = post(client, "q", *range(4))
    claim(client, "q", limit=2)
    assert bodies(client, "q", marker=ids[1]) == [2, 3]
    assert bodies(client, "q", marker=ids[0], include_claimed=True) == [1, 2, 3]
    (late,) = post(client, "q", "late", delay=900)
    post(client, "q", 4)
    assert bodies(client, "q", marker=late, include_delayed=True) == [4]


@pytest.mark.parametrize(
    "marker", ["x", "-1", "1.0", "9" * 17, " 1", "1\n", UNKNOWN_ID[:-1], f"{{{UNKNOWN_ID}}}", "\u0661"]
)
def test_17_what_is_no_marker_is_refused(client: Client, marker: str) -> None:
    post(client, "q", 1)
    refused(client.request("message_list", {"queue_name": "q", "marker": marker}), 400, "marker")
    refused(client.request("subscription_list", {"queue_name": "q", "marker": marker}), 400, "marker")


def test_18_lists_tell_the_marker_of_the_next_page(client: Client) -> None:
    post(client, "q", 1, 2)
    post(client, "r", 1)
    body: dict[str, Any] = {"queue_name": "q", "echo": True, "limit": 1}
    first = done(client.request("message_list", body), 200)
    second = done(client.request("message_list", {**body, "marker": first["marker"]}), 200)
    assert [message["body"] for message in second["messages"]] == [2]
    # At the end it stays: who asks with it again gets what has come since.
    end = done(client.request("message_list", {**body, "marker": second["marker"]}), 200)
    assert (end["messages"], end["marker"]) == ([], second["marker"])
    post(client, "q", 3)
    assert bodies(client, "q", marker=end["marker"]) == [3]

    queues = done(client.request("queue_list", {"limit": 1}), 200)
    assert queues == {"queues": [{"name": "q"}], "marker": "q"}
    assert done(client.request("queue_list", {"marker": "r"}), 200)["marker"] is None
    subscriptions = done(client.request("subscription_list", {"queue_name": "q"}), 200)
    assert subscriptions == {"subscriptions": [], "marker": None}


def test_18_an_empty_queue_has_no_marker(client: Client) -> None:
    done(client.request("queue_create", {"queue_name": "q"}), 201)
    listed = done(client.request("message_list", {"queue_name": "q"}), 200)
    assert listed == {"messages": [], "marker": None}


def test_19_the_claim_is_shown_on_claimed_messages(client: Client) -> None:
    first, second = post(client, "q", 1, 2)
    claim_id = claim(client, "q", limit=1)["claim_id"]
    listing = {"queue_name": "q", "echo": True, "include_claimed": True}
    listed = done(client.request("message_list", listing), 200)["messages"]
    assert [message["claim_id"] for message in listed] == [claim_id, None]
    for message_id, holder in ((first, claim_id), (second, None)):
        got = done(client.request("message_get", {"queue_name": "q", "message_id": message_id}), 200)
        assert got["messages"]["claim_id"] == holder
        assert "checksum" not in got["messages"]


@pytest.mark.parametrize("action", ["queue_delete", "queue_purge"])
def test_20_nothing_survives_a_deletion_or_a_purge(client: Client, action: str) -> None:
    ids = post(client, "q", *range(5))
    post(client, "q", "late", delay=900)
    held = claim(client, "q", limit=2)
    subscribing = {"queue_name": "q", "subscriber": "http://a.example/"}
    subscription_id = done(client.request("subscription_create", subscribing), 201)["subscription_id"]
    done(client.request(action, {"queue_name": "q"}), 204)

    assert client.request("queue_get_stats", {"queue_name": "q"}).body["messages"]["total"] == 0
    for message_id in ids:
        refused(client.request("message_get", {"queue_name": "q", "message_id": message_id}), 404)
    refused(client.request("claim_get", {"queue_name": "q", "claim_id": held["claim_id"]}), 404)
    where = {"queue_name": "q", "subscription_id": subscription_id}
    refused(client.request("subscription_get", where), 404)
    post(client, "q", "new")
    assert bodies(client, "q", include_claimed=True, include_delayed=True) == ["new"]
    done(client.request("subscription_create", subscribing), 201)


@pytest.mark.parametrize("types", [["claims"], ["messages", "x"], [""], ["Messages"]])
def test_20_an_unknown_resource_type_is_refused(client: Client, types: list[str]) -> None:
    post(client, "q", 1)
    body = {"queue_name": "q", "resource_types": types}
    refused(client.request("queue_purge", body), 400, "resource_types")
    assert bodies(client, "q") == [1]

"""Subscriptions over REST, and their confirmation on the WebSocket."""

from __future__ import annotations

from tests.support.client import Client
from tests.support.expect import done, refused
from tests.support.gateway import Gateway
from tests.support.rest import Rest

SUBSCRIPTIONS = "/v2/queues/q/subscriptions"


def test_a_subscriber_is_needed(rest: Rest) -> None:
    for document in ({}, {"subscriber": ""}, {"subscriber": 5}):
        rest.refused(400, "POST", SUBSCRIPTIONS, document)
    assert rest.done("GET", "/v2/queues")["queues"] == []


def test_a_duplicate_changes_nothing(rest: Rest) -> None:
    first = rest.done("POST", SUBSCRIPTIONS, {"subscriber": "http://example.org/", "ttl": 100})
    again = rest.ask("POST", SUBSCRIPTIONS, {"subscriber": "http://example.org/", "ttl": 200})
    assert (again.status, again.body) == (201, first)
    path = f"{SUBSCRIPTIONS}/{first['subscription_id']}"
    assert rest.done("GET", path)["ttl"] == 100
    rest.done("PUT", f"{path}/confirm", {"confirmed": True})
    assert rest.refused(409, "POST", SUBSCRIPTIONS, {"subscriber": "http://example.org/"}) == "conflict"


def test_null_is_the_default_of_what_it_stands_for(rest: Rest) -> None:
    document = {"subscriber": "http://example.org/", "ttl": None, "options": None}
    made = rest.done("POST", SUBSCRIPTIONS, document)
    shown = rest.done("GET", f"{SUBSCRIPTIONS}/{made['subscription_id']}")
    assert (shown["ttl"], shown["options"]) == (3600, {})
    rest.refused(400, "POST", SUBSCRIPTIONS, document | {"subscriber": None})
    rest.refused(400, "POST", SUBSCRIPTIONS, document | {"options": "null"})


def test_null_leaves_what_it_stands_for(rest: Rest) -> None:
    made = rest.done("POST", SUBSCRIPTIONS, {"subscriber": "http://example.org/", "ttl": 100})
    path = f"{SUBSCRIPTIONS}/{made['subscription_id']}"
    rest.done("PATCH", path, {"subscriber": None, "ttl": 200, "options": None})
    shown = rest.done("GET", path)
    assert (shown["subscriber"], shown["ttl"]) == ("http://example.org/", 200)
    rest.refused(400, "PATCH", path, {"ttl": "null"})


def test_a_subscription_is_confirmed_on_the_websocket(gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        body = {"queue_name": "q", "subscriber": "http://example.org/"}
        name = done(client.request("subscription_create", body), 201)["subscription_id"]
        named = {"queue_name": "q", "subscription_id": name}
        for confirmed in (True, False):
            done(client.request("subscription_confirm", {**named, "confirmed": confirmed}), 204)
            shown = done(client.request("subscription_get", named), 200)
            assert shown["confirmed"] is confirmed
        assert client.request("subscription_confirm", named).status == 400
        for other in ({"queue_name": "none"}, {"subscription_id": "none"}):
            asked = {**named, **other, "confirmed": True}
            refused(client.request("subscription_confirm", asked), 404, "does not exist")

"""Subscriptions as records, through a socket in both forms (protocol.md sections 3 and 6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.expect import UNKNOWN_ID, done, is_uuid, misshapen, refused

WEBHOOK = "http://hooks.example:8080/path?x=1"


def create(client: Client, **fields: Any) -> Reply:
    return client.request("subscription_create", {"queue_name": "q", **fields})


def on(client: Client, action: str, subscription_id: str, **fields: Any) -> Reply:
    return client.request(action, {"queue_name": "q", "subscription_id": subscription_id, **fields})


def created(client: Client, **fields: Any) -> str:
    body = done(create(client, **fields), 201)
    assert body["message"] == "Subscription q created."
    assert is_uuid(body["subscription_id"])
    subscription_id: str = body["subscription_id"]
    return subscription_id


def listed(client: Client, **fields: Any) -> list[Any]:
    body = done(client.request("subscription_list", {"queue_name": "q", **fields}), 200)
    subscriptions: list[Any] = body["subscriptions"]
    return subscriptions


def test_a_subscription_is_created_once_shown_and_deleted(client: Client) -> None:
    options = {"post_headers": {"X-Key": "v"}, "post_data": '{"m": "$zaqar_message$"}', "own": [1]}
    subscription_id = created(client, subscriber=WEBHOOK, ttl=600, options=options)
    shown = done(on(client, "subscription_get", subscription_id), 200)
    assert shown == {
        "id": subscription_id,
        "source": "q",
        "subscriber": WEBHOOK,
        "ttl": 600,
        "age": shown["age"],
        "options": options,
        "confirmed": False,
        "delivery": {"delivered": 0, "failed": 0, "missed": 0, "last_error": ""},
        "signature_secret": shown["signature_secret"],
    }
    assert shown["age"] in range(60)
    assert [item["id"] for item in listed(client)] == [subscription_id]
    assert done(create(client, subscriber=WEBHOOK), 409) == "Subscription q not created."
    assert done(client.request("queue_list"), 200)["queues"] == [{"name": "q"}]
    for _ in range(2):
        text = done(on(client, "subscription_delete", subscription_id), 204)
        assert text == f"Subscription {subscription_id} removed."
    refused(on(client, "subscription_get", subscription_id), 404)
    created(client, subscriber=WEBHOOK)


@pytest.mark.parametrize("subscriber", [{}, {"subscriber": ""}])
def test_without_a_subscriber_it_is_this_socket(client: Client, subscriber: dict[str, str]) -> None:
    subscription_id = created(client, **subscriber)
    (shown,) = listed(client)
    assert shown["id"] == subscription_id
    assert (shown["ttl"], shown["options"]) == (3600, {})
    host = client.socket.remote_address
    address, _, connection = shown["subscriber"].rpartition("/")
    assert address == f"http://{host[0]}:{host[1]}"
    assert is_uuid(connection)
    assert done(create(client, **subscriber), 409) == "Subscription q not created."


@pytest.mark.parametrize(
    "subscriber",
    [
        "http://a",
        "https://a.example:1/?q",
        "http://[::1]:80/",
        "http://127.0.0.1/",
        "mailto:a@example.org?subject=x",
    ],
)
def test_somebody_who_can_be_reached(client: Client, subscriber: str) -> None:
    created(client, subscriber=subscriber)
    assert [item["subscriber"] for item in listed(client)] == [subscriber]


@pytest.mark.parametrize(
    "subscriber",
    [
        "ftp://a.example/",
        "a.example",
        "http:",
        "http://",
        "http:///path",
        "http://:80/",
        "http://a:99999/",
        "http://a:b/",
        "http://[::1/",
        "http://a b/",
        "http://a\r\nX: 1/",
        "mailto:",
        "mailto:nobody",
        "trust+ftp://a/",
        "javascript:alert(1)",
        "ws://a/",
    ],
)
def test_somebody_who_cannot_be_reached(client: Client, subscriber: str) -> None:
    refused(create(client, subscriber=subscriber), 400, "subscriber must")
    assert listed(client) == []


@pytest.mark.parametrize("ttl", [60, 61, 10**9, 251_000_000_000])
def test_a_ttl_from_60_seconds_on(client: Client, ttl: int) -> None:
    created(client, subscriber=WEBHOOK, ttl=ttl)
    assert listed(client)[0]["ttl"] == ttl


@pytest.mark.parametrize("ttl", [59, 0, -1, 253_370_764_800, 2**53, 2**63])
def test_a_ttl_that_is_too_short_or_ends_after_the_year_9998(client: Client, ttl: int) -> None:
    refused(create(client, subscriber=WEBHOOK, ttl=ttl), 400, "ttl")
    subscription_id = created(client, subscriber=WEBHOOK)
    refused(on(client, "subscription_update", subscription_id, ttl=ttl), 400, "ttl")


WRONG_TYPES: dict[str, list[Any]] = {
    "ttl": ["60", 60.0, True, None],
    "subscriber": [5, None],
    "options": ["x", [], 1, None],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG_TYPES.items() for value in values]
)
def test_types_of_a_subscription(client: Client, field: str, value: Any) -> None:
    misshapen(create(client, **{field: value}), field)


@pytest.mark.parametrize(
    "options",
    [
        {"_retry_policy": []},
        {"_retry_policy": {"maximum_delay": 5}},
        {"_retry_policy": {"retry_backoff_function": "slow"}},
        {"_retry_policy": {"minimum_delay_retries": True}},
        {"post_headers": "X: 1"},
        {"post_headers": {"X": 1}},
        {"post_data": {}},
    ],
)
def test_options_that_nobody_could_follow(client: Client, options: dict[str, Any]) -> None:
    refused(create(client, subscriber=WEBHOOK, options=options), 400, next(iter(options)))
    subscription_id = created(client, subscriber=WEBHOOK)
    refused(on(client, "subscription_update", subscription_id, options=options), 400, next(iter(options)))


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_paging_visits_every_subscription_once(client: Client, limit: int) -> None:
    subscribers = [f"http://{number}.example/" for number in range(23)]
    for subscriber in subscribers:
        created(client, subscriber=subscriber)
    seen: list[str] = []
    page: dict[str, Any] = {"queue_name": "q", "limit": limit}
    while True:
        body = done(client.request("subscription_list", page), 200)
        seen += [item["subscriber"] for item in body["subscriptions"]]
        if len(body["subscriptions"]) < limit:
            break
        page["marker"] = body["marker"]
    assert seen == subscribers
    assert len(listed(client)) == 10


def test_a_list_of_subscriptions_has_its_limits(client: Client) -> None:
    for limit in (0, 21):
        refused(client.request("subscription_list", {"queue_name": "q", "limit": limit}), 400, "1 to 20")
    missing = {"queue_name": "missing"}
    assert done(client.request("subscription_list", missing), 200) == {"subscriptions": [], "marker": None}
    created(client, subscriber=WEBHOOK)
    refused(client.request("subscription_list", {"queue_name": "q", "marker": "no marker"}), 400, "marker")


@pytest.mark.parametrize("subscription_id", ["", "no id", UNKNOWN_ID])
def test_what_is_no_subscription(client: Client, subscription_id: str) -> None:
    created(client)
    for queue in ("q", "missing"):
        named = {"queue_name": queue, "subscription_id": subscription_id}
        refused(client.request("subscription_get", named), 404, "does not exist")
        if queue != "missing" or subscription_id:
            refused(client.request("subscription_update", {**named, "ttl": 60}), 404, "does not exist")
        text = done(client.request("subscription_delete", named), 204)
        assert text == f"Subscription {subscription_id} removed."
    assert len(listed(client)) == 1


def test_a_subscription_is_changed_field_by_field(client: Client) -> None:
    subscription_id = created(client, subscriber=WEBHOOK, ttl=600, options={"own": 1})
    changes: list[dict[str, Any]] = [
        {"ttl": 700},
        {"subscriber": "https://other.example/"},
        {"options": {}},
        {"options": {"a": 1}, "ttl": 800, "subscriber": WEBHOOK},
    ]
    want = {"subscriber": WEBHOOK, "ttl": 600, "options": {"own": 1}}
    for change in changes:
        assert done(on(client, "subscription_update", subscription_id, **change), 204) == {}
        want |= change
        shown = done(on(client, "subscription_get", subscription_id), 200)
        assert {key: shown[key] for key in want} == want


def test_a_change_that_cannot_be(client: Client) -> None:
    subscription_id = created(client, subscriber=WEBHOOK)
    created(client, subscriber="http://taken.example/")
    taken = {"subscriber": "http://taken.example/"}
    refused(on(client, "subscription_update", subscription_id, **taken), 409, "http://taken.example/")
    refused(on(client, "subscription_update", subscription_id), 400, "at least one")
    refused(on(client, "subscription_update", subscription_id, subscriber="ftp://x/"), 400, "subscriber")
    misshapen(on(client, "subscription_update", subscription_id, ttl="60"), "ttl")
    # Nothing of it has happened, and the names are free again where they should be.
    assert done(on(client, "subscription_get", subscription_id), 200)["subscriber"] == WEBHOOK
    done(on(client, "subscription_update", subscription_id, subscriber="http://new.example/"), 204)
    created(client, subscriber=WEBHOOK)

"""What subscribers are told about their subscriptions."""

from __future__ import annotations

import json

import pytest

from protocol.confirmations import CONFIRMATION, UNSUBSCRIPTION, PublicUrls, urls_of, write
from protocol.signed_urls import SignedUrl

PATH = "/v2/queues/q/subscriptions/id/confirm"
URL = SignedUrl((PATH,), ("PUT",), "p", "2035-01-01T00:00:00")


def told(kind: str, urls: PublicUrls) -> dict[str, object]:
    document: dict[str, object] = json.loads(write(kind, "q", URL, "signature", urls))
    return document


def test_where_nothing_is_known_of_where_the_gateway_is() -> None:
    assert list(told(CONFIRMATION, PublicUrls())) == [
        "Message_Type",
        "Message",
        "URL-Signature",
        "URL-Methods",
        "URL-Paths",
        "X-Project-ID",
        "URL-Expires",
        "SubscribeBody",
        "UnsubscribeBody",
        "queue_name",
    ]


@pytest.mark.parametrize(
    ("public_url", "rest", "websocket"),
    [
        ("https://host", "https://host", "wss://host"),
        ("http://host:8888/", "http://host:8888", "ws://host:8888"),
        ("https://host/messaging/v2/", "https://host/messaging", "wss://host/messaging"),
    ],
)
def test_where_the_subscriber_answers(public_url: str, rest: str, websocket: str) -> None:
    document = told(UNSUBSCRIPTION, urls_of(public_url))
    assert document["WSGISubscribeURL"] == rest + PATH
    assert document["WebSocketSubscribeURL"] == websocket + PATH


def test_what_who_has_left_is_told() -> None:
    assert told(UNSUBSCRIPTION, PublicUrls())["Message"] == (
        "You have unsubscribed successfully to the queue: q, you can resubscribe it by using confirmed=True."
    )

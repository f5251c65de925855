"""What subscribers are told about their subscriptions, and how they confirm them (protocol.md section 6)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from protocol.signed_urls import SignedUrl

CONFIRMATION: Final = "SubscriptionConfirmation"
"""Asks whether the subscriber wants the messages of the queue."""

UNSUBSCRIPTION: Final = "UnsubscribeConfirmation"
"""Tells that it gets them no more."""

_MESSAGES: Final = {
    CONFIRMATION: "You have chosen to subscribe to the queue: {}",
    UNSUBSCRIPTION: (
        "You have unsubscribed successfully to the queue: {}, you can resubscribe it by using confirmed=True."
    ),
}


class PublicUrls(NamedTuple):
    """Where the gateway is reached, as far as that is known; without a path of ours."""

    rest: str | None = None
    websocket: str | None = None


def urls_of(public_url: str) -> PublicUrls:
    """Both of a gateway that is reached at a http or https URL."""
    parts = urlsplit(public_url)
    websocket = parts._replace(scheme="ws" if parts.scheme == "http" else "wss")
    return PublicUrls(public_url, websocket.geturl())


def write(kind: str, queue_name: str, url: SignedUrl, signature: str, urls: PublicUrls) -> bytes:
    """The JSON object that a subscriber is sent.

    :param kind: CONFIRMATION or UNSUBSCRIPTION.
    :param url: what lets the subscriber answer, with its signature.
    """
    (path,), (method,) = url.paths, url.methods
    told: dict[str, Any] = {
        "Message_Type": kind,
        "Message": _MESSAGES[kind].format(queue_name),
        "URL-Signature": signature,
        "URL-Methods": method,
        "URL-Paths": path,
        "X-Project-ID": url.project,
        "URL-Expires": url.expires,
        "SubscribeBody": {"confirmed": True},
        "UnsubscribeBody": {"confirmed": False},
    }
    if urls.rest:
        told["WSGISubscribeURL"] = _joined(urls.rest, path)
    if urls.websocket:
        told["WebSocketSubscribeURL"] = _joined(urls.websocket, path)
    return msgspec.json.encode(told | {"queue_name": queue_name})


def _joined(base: str, path: str) -> str:
    # Catalogs name the service with its version, or without.
    return base.rstrip("/").removesuffix("/v2") + path

"""Zaqar's protocol, as the load speaks it to the gateway and to upstream (protocol.md section 3)."""

from __future__ import annotations

import json
from typing import Any

from websockets.sync.client import connect

from bench.peers.peer import BODY, MARK, exchange

EXTENSION = "zaqar-gateway.v1"
"""The subprotocol that allows a reply without its request, and a subscription that begins behind a marker."""

HEADERS = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-ID": "bench"}
TIMEOUT = 30.0


def frame(action: str, body: dict[str, Any], **extensions: Any) -> str:
    """A request."""
    document = {"action": action, "headers": HEADERS, "body": body, **extensions}
    return json.dumps(document, separators=(",", ":"))


def post_frame(queue: str, messages: int = 1, **extensions: Any) -> str:
    """A request that posts so many messages."""
    body = {"queue_name": queue, "messages": [{"ttl": 3600, "body": BODY}] * messages}
    return frame("message_post", body, **extensions)


def post(echo: bool = True) -> list[str]:
    """Options of the load: posts, answered with or without a repetition of the request."""
    if echo:
        return ["--request", post_frame("posts"), "--reply", '"message_ids"']
    request = post_frame("posts", echo=False)
    return ["--protocol", EXTENSION, "--request", request, "--reply", '"message_ids"']


def subscribe() -> list[str]:
    """Options of the load: sockets subscribed to one queue."""
    request = frame("subscription_create", {"queue_name": "news", "ttl": 3600})
    return exchange("--prepare", request, '"subscription_id"')


def publish(messages: int) -> list[str]:
    """Options of the load: posts of so many messages at once, to sockets that are subscribed."""
    return [*subscribe(), "--publish", post_frame("news", messages), "--message", MARK]


def resume(marker: str, messages: int) -> list[str]:
    """Options of the load: subscribe again from behind the marker, and be pushed what was missed."""
    body = {"queue_name": "news", "ttl": 3600, "from": marker}
    return [
        "--protocol",
        EXTENSION,
        *exchange("--resume", frame("subscription_create", body), MARK, messages),
    ]


def post_once(port: int, messages: int) -> list[str]:
    """Post messages to the queue that the sockets are subscribed to; returns their ids."""
    with connect(f"ws://127.0.0.1:{port}/", open_timeout=TIMEOUT, proxy=None) as socket:
        socket.send(post_frame("news", messages))
        reply = json.loads(socket.recv(timeout=TIMEOUT))
        ids: list[str] = reply["body"]["message_ids"]
        return ids

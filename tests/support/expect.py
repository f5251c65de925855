"""What the tests expect of replies, in one word each."""

from __future__ import annotations

import uuid
from typing import Any

from tests.support.client import Client, Reply

UNKNOWN_ID = "070a186c-006c-46aa-952a-2f4f090dc1f6"
"""A UUID that is nobody's."""


def done(reply: Reply, status: int) -> Any:
    """The body of a reply that must have this status."""
    assert reply.status == status, reply.document
    return reply.body


def refused(reply: Reply, status: int, *words: str) -> None:
    """The action refused: both texts of protocol.md section 1 are there, and the first holds all words."""
    assert reply.status == status, reply.document
    assert reply.body.keys() >= {"exception", "error", "code"}, reply.body
    text = f"{reply.body['exception']} {reply.body['error'] or ''}"
    assert text.strip(), reply.body
    for word in words:
        assert word in text, reply.body


def misshapen(reply: Reply, *words: str) -> None:
    """A field is missing or of a wrong type; the detail says which."""
    assert reply.status == 400, reply.document
    assert reply.body["error"] == "Schema validation failed.", reply.body
    for word in words:
        assert word in reply.body["detail"], reply.body


def post(client: Client, queue: str, *bodies: Any, **fields: Any) -> list[str]:
    """Post messages with these bodies, and the same fields for all; their ids."""
    messages = [{"body": body, **fields} for body in bodies]
    ids: list[str] = done(client.request("message_post", {"queue_name": queue, "messages": messages}), 201)[
        "message_ids"
    ]
    assert len(ids) == len(bodies)
    return ids


def bodies(client: Client, queue: str, **fields: Any) -> list[Any]:
    """The bodies of one page of messages, the own ones too."""
    page = done(client.request("message_list", {"queue_name": queue, "echo": True, **fields}), 200)
    return [message["body"] for message in page["messages"]]


def pages(client: Client, queue: str, limit: int, **fields: Any) -> list[Any]:
    """The bodies of all messages, page by page; a page that is not full must be the last."""
    seen: list[Any] = []
    page: dict[str, Any] = {"queue_name": queue, "limit": limit, **fields}
    while True:
        body = done(client.request("message_list", page), 200)
        seen += [message["body"] for message in body["messages"]]
        if len(body["messages"]) < limit:
            return seen
        page["marker"] = body["marker"]


def claim(client: Client, queue: str, **fields: Any) -> dict[str, Any]:
    """A claim that gets something."""
    reply: dict[str, Any] = done(client.request("claim_create", {"queue_name": queue, **fields}), 201)
    return reply


def is_uuid(text: object) -> bool:
    """Whether this is a UUID as it is usually written."""
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text
    except ValueError:
        return False

"""How messages are shown, in replies and in events."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from protocol.body import show_checksum
from protocol.codec import Form
from protocol.identifiers import format_id
from schemas.messages import DeadLetter, MessageView
from storage.records import Message, Queue


def message_view(message: Message, queue: Queue, form: Form, *, in_full: bool = False) -> MessageView:
    """A message in the form of the request. `in_full`: with what statistics and pop show beside."""
    further: dict[str, Any] = {}
    if message.checksum is not None:
        further["checksum"] = show_checksum(message.checksum)
    if message.origin is not None:
        further["dead_letter"] = DeadLetter(
            queue_name=message.origin.queue_name, message_id=str(uuid.UUID(bytes=message.origin.message_id))
        )
    if in_full:
        created = datetime.fromtimestamp(message.created, UTC)
        further["claim_count"] = message.claim_count
        further["created"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    return MessageView(
        id=format_id(message.sequence, queue.incarnation),
        claim_id=None if message.claim_id is None else str(uuid.UUID(bytes=message.claim_id)),
        ttl=message.ttl,
        age=message.age,
        body=message.body.told_in(form),
        **further,
    )

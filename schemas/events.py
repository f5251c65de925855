"""What the gateway sends unasked (protocol.md section 4)."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct


class Notification(Struct, frozen=True, kw_only=True, rename={"message_type": "Message_Type"}):
    """A message for a subscriber. `ttl` in seconds. No id: it is not a reply."""

    ttl: int
    body: Raw
    message_type: Literal["Notification"] = "Notification"
    queue_name: str

"""What the gateway sends unasked (protocol.md section 4)."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from schemas.messages import MessageView


class Notification(Struct, frozen=True, kw_only=True, rename={"message_type": "Message_Type"}):
    """A message for a subscriber. `ttl` in seconds. No id: it is not a reply."""

    ttl: int
    body: Raw
    message_type: Literal["Notification"] = "Notification"
    queue_name: str


ClaimEndReason = Literal["queue_deleted", "taken_over"]


class ClaimEvent(Struct, frozen=True, kw_only=True):
    """Messages that were leased to a consumer. (Only with the subprotocol `zaqar-gateway.v1`.)"""

    event: Literal["claim"] = "claim"
    queue_name: str
    claim_id: str
    messages: list[MessageView]


class ClaimEnded(Struct, frozen=True, kw_only=True):
    """A consumer gets nothing more. (Only with the subprotocol `zaqar-gateway.v1`.)"""

    event: Literal["claim_ended"] = "claim_ended"
    queue_name: str
    claim_id: str
    reason: ClaimEndReason

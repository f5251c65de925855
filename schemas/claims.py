"""Claims: requests and replies (protocol.md sections 3 and 5)."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from schemas.fields import AnyGrace, ClaimGrace, ClaimTtl, Credit, MessageIds, NewQueueName, PageLimit
from schemas.messages import MessageView


class ClaimCreate(Struct, frozen=True, kw_only=True):
    """Lease up to `limit` free messages for `ttl` seconds."""

    queue_name: str
    ttl: ClaimTtl | UnsetType = UNSET
    grace: ClaimGrace | UnsetType = UNSET
    limit: PageLimit | UnsetType = UNSET


class ClaimGet(Struct, frozen=True, kw_only=True):
    """Read a claim and its messages."""

    queue_name: str
    claim_id: str


class ClaimUpdate(Struct, frozen=True, kw_only=True):
    """Renew a claim for `ttl` seconds from now."""

    queue_name: str
    claim_id: str
    ttl: ClaimTtl | UnsetType = UNSET
    grace: AnyGrace | UnsetType = UNSET


class ClaimDelete(Struct, frozen=True, kw_only=True):
    """Give a claim's messages back."""

    queue_name: str
    claim_id: str


class ClaimSubscribe(Struct, frozen=True, kw_only=True):
    """Have messages leased to this socket and pushed as they come; it never holds more than `credit`."""

    queue_name: NewQueueName
    credit: Credit
    ttl: ClaimTtl | UnsetType = UNSET
    grace: ClaimGrace | UnsetType = UNSET
    claim_id: str | UnsetType = UNSET


class ClaimUnsubscribe(Struct, frozen=True, kw_only=True):
    """Get no more messages leased, and give back those that are."""

    queue_name: str
    claim_id: str


class MessageRelease(Struct, frozen=True, kw_only=True):
    """Give messages of a claim back."""

    queue_name: str
    message_ids: MessageIds
    claim_id: str


class ClaimCreateReply(Struct, frozen=True, kw_only=True):
    """The leased messages. Without any: an unused id, or null if all went to the dead letter queue."""

    claim_id: str | None
    messages: list[MessageView] | UnsetType = UNSET


class ClaimGetReply(Struct, frozen=True, kw_only=True):
    """A claim. `age` and `ttl` in seconds."""

    age: int
    ttl: int
    messages: list[MessageView]


class ClaimSubscribeReply(Struct, frozen=True, kw_only=True):
    """A consumer. What its claim holds already is pushed again."""

    claim_id: str
    held: int

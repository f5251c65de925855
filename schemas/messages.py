"""Messages: requests and replies (protocol.md sections 3 and 5)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from schemas import limits
from schemas.fields import MessageDelay, MessageIds, MessageTtl, NewQueueName, PageLimit, integer, length


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to be posted. `body` is any value, null too."""

    ttl: MessageTtl | UnsetType = UNSET
    delay: MessageDelay | UnsetType = UNSET
    body: Raw
    # Kept as it was sent: on a socket without the extension it is ignored, whatever it is.
    dedup_id: (
        Annotated[
            Raw,
            Meta(extra_json_schema={"type": "string", "minLength": 1, "maxLength": limits.DEDUP_ID_BYTES}),
        ]
        | UnsetType
    ) = UNSET


RawNewMessage = Annotated[Raw, Meta(extra_json_schema={"$ref": "#/$defs/NewMessage"})]


class MessagePost(Struct, frozen=True, kw_only=True):
    """Post messages in their order. A missing queue is created."""

    queue_name: NewQueueName
    messages: Annotated[list[RawNewMessage], length(1, limits.MESSAGES_PER_POST)]


class MessageList(Struct, frozen=True, kw_only=True):
    """List messages in the order of the queue."""

    queue_name: str
    marker: str | UnsetType = UNSET
    limit: PageLimit | UnsetType = UNSET
    echo: bool | UnsetType = UNSET
    include_claimed: bool | UnsetType = UNSET
    include_delayed: bool | UnsetType = UNSET


class MessageGet(Struct, frozen=True, kw_only=True):
    """Read one message."""

    queue_name: str
    message_id: str


class MessageGetMany(Struct, frozen=True, kw_only=True):
    """Read messages by their ids; unknown ones are left out."""

    queue_name: str
    message_ids: MessageIds


class MessageDelete(Struct, frozen=True, kw_only=True):
    """Delete one message. A claimed one needs its claim's id."""

    queue_name: str
    message_id: str
    claim_id: str | UnsetType = UNSET


class MessageDeleteMany(Struct, frozen=True, kw_only=True):
    """Delete messages by their ids, or take and delete the first `pop` ones."""

    queue_name: str
    message_ids: MessageIds | UnsetType = UNSET
    pop: Annotated[int, integer(limits.PAGE_MIN, limits.PAGE_MAX)] | UnsetType = UNSET
    claim_ids: list[str] | UnsetType = UNSET


class DeadLetter(Struct, frozen=True, kw_only=True):
    """Where a dead-lettered message came from."""

    queue_name: str
    message_id: str


class MessageView(Struct, frozen=True, kw_only=True):
    """A message as it is shown. `ttl` and `age` in seconds."""

    id: str
    claim_id: str | None
    ttl: int
    age: int
    body: Raw
    checksum: str | UnsetType = UNSET
    dead_letter: DeadLetter | UnsetType = UNSET
    claim_count: int | UnsetType = UNSET
    created: str | UnsetType = UNSET


class MessagePostReply(Struct, frozen=True, kw_only=True):
    """The ids of the posted messages, in the order of the post."""

    message_ids: list[str]


class MessageListReply(Struct, frozen=True, kw_only=True):
    """A page of messages. `marker` asks for the next one; null: there is nothing to go on from."""

    messages: list[MessageView]
    marker: str | None


class MessageGetReply(Struct, frozen=True, kw_only=True):
    """One message, under the name that Zaqar gives it."""

    messages: MessageView


class MessagesReply(Struct, frozen=True, kw_only=True):
    """The messages found, in the order in which they were asked for."""

    messages: list[MessageView]


class MessageDeleteManyReply(Struct, frozen=True, kw_only=True):
    """Empty after a deletion by ids; the messages taken after `pop`."""

    messages: list[MessageView] | UnsetType = UNSET

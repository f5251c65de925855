"""Queues: requests and replies (protocol.md sections 3 and 8)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from schemas.fields import NewQueueName, PageLimit, RawObject
from schemas.messages import MessageView

RESOURCE_TYPES = ("messages", "subscriptions")
"""What queue_purge can remove; all of it unless told otherwise."""

SHARED_RESOURCES = ("messages", "subscriptions", "claims")
"""What of a queue queue_share can sign; messages unless told otherwise."""


class QueueCreate(Struct, frozen=True, kw_only=True):
    """Create a queue. An existing queue keeps its metadata."""

    queue_name: NewQueueName
    metadata: RawObject | UnsetType = UNSET


class QueueGet(Struct, frozen=True, kw_only=True):
    """Read a queue's metadata."""

    queue_name: str


class QueueList(Struct, frozen=True, kw_only=True):
    """List the project's queues by name."""

    marker: str | UnsetType = UNSET
    limit: PageLimit | UnsetType = UNSET
    detailed: bool | UnsetType = UNSET


class QueueDelete(Struct, frozen=True, kw_only=True):
    """Remove a queue with its messages, claims and subscriptions."""

    queue_name: str


class QueueGetStats(Struct, frozen=True, kw_only=True):
    """Count a queue's messages."""

    queue_name: str


ResourceType = Annotated[str, Meta(extra_json_schema={"enum": list(RESOURCE_TYPES)})]


class QueuePurge(Struct, frozen=True, kw_only=True):
    """Remove a queue's messages, its subscriptions, or both."""

    queue_name: str
    resource_types: list[ResourceType] | UnsetType = UNSET


SharedResource = Annotated[str, Meta(extra_json_schema={"enum": list(SHARED_RESOURCES)})]


class QueueShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sign what others may do with a queue until a time, without a token."""

    queue_name: NewQueueName
    paths: list[SharedResource] | UnsetType = UNSET
    methods: list[str] | UnsetType = UNSET
    expires: str | UnsetType = UNSET


class PatchOperation(Struct, frozen=True, kw_only=True):
    """One step of a metadata patch (RFC 6902, of which these three operations exist)."""

    op: Literal["add", "replace", "remove"]
    path: Annotated[str, Meta(extra_json_schema={"pattern": "^/metadata/[^/]*$"})]
    value: Raw | UnsetType = UNSET


class QueueUpdate(Struct, frozen=True, kw_only=True):
    """Change a queue's metadata: all steps or none."""

    queue_name: NewQueueName
    patch: list[PatchOperation]


class QueueListItem(Struct, frozen=True, kw_only=True):
    """A queue in a list; `metadata` where `detailed` was asked for."""

    name: str
    metadata: dict[str, Any] | UnsetType = UNSET


class QueueListReply(Struct, frozen=True, kw_only=True):
    """A page of queues. `marker` asks for the next one; null: there is nothing to go on from."""

    queues: list[QueueListItem]
    marker: str | None


class QueueStats(Struct, frozen=True, kw_only=True):
    """How many messages a queue holds, and which are its newest and oldest."""

    claimed: int
    free: int
    total: int
    newest: MessageView | UnsetType = UNSET
    oldest: MessageView | UnsetType = UNSET


class StatsReply(Struct, frozen=True, kw_only=True):
    """The reply of queue_get_stats, also of its 404."""

    messages: QueueStats


class QueueShareReply(Struct, frozen=True, kw_only=True):
    """What was signed, and the signature. Who knows all of it may do what it says."""

    paths: list[str]
    methods: list[str]
    project: str
    expires: str
    signature: str


class EmptyReply(Struct, frozen=True):
    """An empty object."""

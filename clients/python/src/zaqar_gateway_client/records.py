"""What the gateway answers, as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was listed, claimed, popped or pushed (docs/protocol.md, A message).

    A pushed one has no `age` and `claim_id`; `position` is there on pushed ones only, and there only if the
    server agreed on the extension, like `id` and `created`.
    """

    body: Any
    id: str = ""
    queue: str = ""
    ttl: int = 0
    """Seconds that it lives, counted from its post."""
    age: int = 0
    """Whole seconds since its post."""
    claim_id: str | None = None
    claim_count: int = 0
    """How often it was claimed; 0 also where the answer does not say."""
    created: str = ""
    """When it was posted (UTC)."""
    position: str = ""
    """Where it stands in its queue; to go on behind it, subscribe with `from_=position`."""
    dead_letter: Mapping[str, str] | None = None
    """`queue_name` and `message_id` of what it was before it was moved to a dead letter queue."""

    @classmethod
    def read(cls, queue: str, told: Mapping[str, Any]) -> Self:
        """From an answer or a notification."""
        return cls(
            body=told.get("body"),
            id=told.get("id") or told.get("message_id") or "",
            queue=queue,
            ttl=told.get("ttl", 0),
            age=told.get("age", 0),
            claim_id=told.get("claim_id"),
            claim_count=told.get("claim_count", 0),
            created=told.get("created", ""),
            position=told.get("marker", ""),
            dead_letter=told.get("dead_letter"),
        )


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be posted.

    :ivar ttl: seconds that it lives, 60 to 1209600; None for the queue's default.
    :ivar delay: seconds until it can be seen, 0 to 900; None for the queue's default.
    :ivar dedup_id: at most 128 bytes; within the gateway's `dedup_window` no other message with it is stored.
        None for a random one, which the client needs to repeat the post safely.
    """

    body: Any
    ttl: int | None = None
    delay: int | None = None
    dedup_id: str | None = None

    def document(self) -> dict[str, Any]:
        """What goes over the wire."""
        document = {"body": self.body}
        for key in ("ttl", "delay", "dedup_id"):
            value = getattr(self, key)
            if value is not None:
                document[key] = value
        return document


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list. With `marker` the next one can be asked for; None: there is nothing to go on from."""

    messages: Sequence[Message]
    marker: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """How many messages a queue holds, and which are its first and last."""

    claimed: int
    free: int
    total: int
    oldest: Message | None = None
    newest: Message | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages behind position `start`, up to `end`, are not all there any more (docs/extension.md, Gaps).

    `reason` is `deleted`, `expired`, `failover` or `purged`.
    """

    start: str
    end: str
    reason: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """From an answer or an event."""
        return cls(start=told["from"], end=told["to"], reason=told["reason"])


@dataclass(frozen=True, slots=True)
class Resumed:
    """A subscription goes on behind `position`; `recovered` says whether nothing is missing, `gap` what is.

    Without the extension `position` is empty and `gap` None, and nothing is recovered but at the beginning.
    """

    position: str
    recovered: bool
    gap: Gap | None

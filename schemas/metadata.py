"""The keys of a queue's metadata that mean something (protocol.md section 5); all others are the owner's.

They describe what `protocol.metadata` and `protocol.retry_policy` check: nothing is decoded as these types.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas import limits
from schemas.fields import MessageDelay, MessageTtl, NewQueueName, integer

Count = Annotated[int, integer(0, limits.SAFE_INTEGER)]
PostBytes = Annotated[int, integer(1, limits.POST_BYTES)]


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How delivery is tried again. Delays in seconds; the maximum exceeds the minimum by at least 10."""

    retries_with_no_delay: Count | UnsetType | None = UNSET
    minimum_delay_retries: Count | UnsetType | None = UNSET
    minimum_delay: Count | UnsetType | None = UNSET
    maximum_delay: Count | UnsetType | None = UNSET
    maximum_delay_retries: Count | UnsetType | None = UNSET
    retry_backoff_function: Literal["linear", "arithmetic", "geometric", "exponential"] | UnsetType | None = (
        UNSET
    )
    ignore_subscription_override: bool | UnsetType | None = UNSET


class Metadata(Struct, frozen=True, kw_only=True, rename="_{}".format):
    """A queue's metadata: the keys that mean something, and any others. Null stands for the default."""

    default_message_ttl: MessageTtl | UnsetType | None = UNSET
    default_message_delay: MessageDelay | UnsetType | None = UNSET
    max_messages_post_size: PostBytes | UnsetType | None = UNSET
    dead_letter_queue: NewQueueName | UnsetType | None = UNSET
    dead_letter_queue_messages_ttl: MessageTtl | UnsetType | None = UNSET
    max_claim_count: Count | UnsetType | None = UNSET
    enable_encrypt_messages: bool | UnsetType | None = UNSET
    flavor: Annotated[str, Meta(description="Names a flavor.")] | UnsetType | None = UNSET
    retry_policy: RetryPolicy | UnsetType | None = UNSET

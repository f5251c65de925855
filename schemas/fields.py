"""Field types that several requests share.

Ranges and lengths stand here as JSON Schema only. msgspec does not enforce them, because a value
out of range is answered otherwise than a value of the wrong type (protocol.md section 1); the
checks in `protocol` are derived from these annotations.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Raw

from schemas import limits


def integer(minimum: int, maximum: int | None = None, *, default: int | None = None) -> Meta:
    """The annotation of an integer from `minimum` to `maximum`."""
    schema: dict[str, Any] = {"minimum": minimum}
    if maximum is not None:
        schema["maximum"] = maximum
    if default is not None:
        schema["default"] = default
    return Meta(extra_json_schema=schema)


def length(minimum: int, maximum: int) -> Meta:
    """The annotation of an array with `minimum` to `maximum` items."""
    return Meta(extra_json_schema={"minItems": minimum, "maxItems": maximum})


NewName = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": limits.QUEUE_NAME_PATTERN,
            "minLength": 1,
            "maxLength": limits.QUEUE_NAME_CHARACTERS,
        }
    ),
]
"""The name of a queue, a pool or a flavor that the action may create. Elsewhere any string is accepted."""

NewQueueName = NewName

PageLimit = Annotated[int, integer(limits.PAGE_MIN, limits.PAGE_MAX, default=limits.PAGE_DEFAULT)]

MessageTtl = Annotated[int, integer(limits.MESSAGE_TTL_MIN, limits.MESSAGE_TTL_MAX)]
MessageDelay = Annotated[int, integer(limits.MESSAGE_DELAY_MIN, limits.MESSAGE_DELAY_MAX)]

ClaimTtl = Annotated[
    int, integer(limits.CLAIM_TTL_MIN, limits.CLAIM_TTL_MAX, default=limits.CLAIM_TTL_DEFAULT)
]
ClaimGrace = Annotated[
    int, integer(limits.CLAIM_GRACE_MIN, limits.CLAIM_GRACE_MAX, default=limits.CLAIM_GRACE_DEFAULT)
]
Credit = Annotated[int, integer(limits.CREDIT_MIN, limits.CREDIT_MAX)]
AnyGrace = Annotated[int, integer(-limits.SAFE_INTEGER, limits.SAFE_INTEGER)]
"""The grace of claim_update: any integer that the store can count with (protocol.md section 3)."""

SubscriptionTtl = Annotated[
    int, integer(limits.SUBSCRIPTION_TTL_MIN, default=limits.SUBSCRIPTION_TTL_DEFAULT)
]

MessageIds = Annotated[list[str], length(limits.IDS_MIN, limits.IDS_MAX)]

RawObject = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
"""An object or null, kept as it was sent; its type is checked by the action."""

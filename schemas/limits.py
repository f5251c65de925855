"""Limits and defaults of the protocol (protocol.md section 2). Durations in seconds, sizes in bytes."""

from __future__ import annotations

from typing import Final

MESSAGE_TTL_MIN: Final = 60
MESSAGE_TTL_MAX: Final = 1_209_600
MESSAGE_TTL_DEFAULT: Final = 3_600

MESSAGE_DELAY_MIN: Final = 0
MESSAGE_DELAY_MAX: Final = 900
MESSAGE_DELAY_DEFAULT: Final = 0

CLAIM_TTL_MIN: Final = 60
CLAIM_TTL_MAX: Final = 43_200
CLAIM_TTL_DEFAULT: Final = 300

CLAIM_GRACE_MIN: Final = 60
CLAIM_GRACE_MAX: Final = 43_200
CLAIM_GRACE_DEFAULT: Final = 60

SUBSCRIPTION_TTL_MIN: Final = 60
SUBSCRIPTION_TTL_DEFAULT: Final = 3_600
SUBSCRIPTION_TTL_OF_SOCKET: Final = 315_360_000
"""Ten years: that of a subscription which lives as long as its socket."""

SUBSCRIPTION_END_BEFORE: Final = 253_370_764_800
"""The start of the year 9999 in Unix time: every subscription ends before it."""

CREDIT_MIN: Final = 1
CREDIT_MAX: Final = 1_000
"""Messages that a consumer may hold."""
CONSUMERS_PER_SOCKET: Final = 100

PAGE_MIN: Final = 1
PAGE_MAX: Final = 20
PAGE_DEFAULT: Final = 10

IDS_MIN: Final = 1
IDS_MAX: Final = 20
"""Message ids that one call may name."""

MESSAGES_PER_POST: Final = 1_000
POST_BYTES: Final = 262_144
"""Bytes of the encoded `messages` array of one post."""

OPTIONS_BYTES: Final = 65_536
"""Bytes of the encoded options of one subscription, or of one pool."""

POST_DATA_PLACEHOLDERS: Final = 4
"""How often `post_data` of one subscription may hold the message."""

METADATA_BYTES: Final = 65_536
"""Bytes of the encoded metadata object of one queue."""

REQUEST_ID_CHARACTERS: Final = 128
"""Characters of a request's id."""

DEDUP_ID_BYTES: Final = 128
"""Bytes of a message's dedup_id in UTF-8."""

PROJECT_CHARACTERS: Final = 256

QUEUE_NAME_PATTERN: Final = r"^[a-zA-Z0-9_\-.]+$"
QUEUE_NAME_CHARACTERS: Final = 64
"""Names of pools and flavors are like those of queues."""

POOL_WEIGHT_MAX: Final = 2**32 - 1
POOL_URI_CHARACTERS: Final = 2_048
FLAVOR_POOLS_MAX: Final = 100
"""Pools that a request may put into a flavor."""

NESTING_MAX: Final = 100
"""Arrays and objects that may stand inside each other in a message body or in metadata."""

FRAME_NESTING_MAX: Final = 400
"""The same for a frame that is looked at closely: well below what the decoders' recursion bears."""

FRAME_PARTS: Final = 50_000
"""Arrays, objects and MessagePack extension values in a frame: each takes time, however small it is."""

WAIT_MAX: Final = 20
"""Seconds that a request over REST may wait for messages: proxies give up on an answer sooner or later."""

SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer up to which every JSON reader, and the store, counts exactly."""

RETRY_COUNT_DEFAULT: Final = 3
RETRY_MINIMUM_DELAY_DEFAULT: Final = 5
RETRY_MAXIMUM_DELAY_DEFAULT: Final = 30
RETRY_DELAY_SPAN_MIN: Final = 10
"""By how much a retry policy's maximum delay exceeds its minimum delay, at the least."""

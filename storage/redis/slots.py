"""A cluster's hash slots: which one a key is in (Redis Cluster specification)."""

from __future__ import annotations

import binascii

SLOTS = 16_384


def key_slot(key: bytes) -> int:
    """The slot of a key: CRC16 of what its first braces hold, or of all of it."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) % SLOTS

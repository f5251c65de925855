"""Ids of messages, subscriptions and claims, and the markers that page through a queue.

A message id is a UUID of version 8 (RFC 9562 section 5.8). Its 60 bits before and behind the version
are the message's sequence, so ids sort as the queue does; its last 62 bits are the queue's incarnation,
so an id of another queue is known without a look-up.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Final, Literal

from protocol.errors import BadRequest
from schemas import limits

_UUID: Final = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_POSITION: Final = re.compile("[0-9]{1,16}")

_SEQUENCE_BITS: Final = 60
_INCARNATION_BITS: Final = 62
_INCARNATION_MASK: Final = (1 << _INCARNATION_BITS) - 1
_VERSION: Final = 8
_VARIANT: Final = 0b10

Marker = tuple[Literal["position", "sequence"], int]
"""From where a page goes on: behind a position, or behind the message with a sequence."""


def format_id(sequence: int, incarnation: int) -> str:
    """The id of the message (or subscription) with this sequence in this incarnation of a queue."""
    high = f"{sequence:015x}"
    return f"{high[:8]}-{high[8:12]}-{_VERSION}{high[12:]}{_tail(incarnation)}"


@lru_cache(maxsize=10_000)  # all ids of a queue end in it
def _tail(incarnation: int) -> str:
    low = f"{_VARIANT << _INCARNATION_BITS | incarnation:016x}"
    return f"-{low[:4]}-{low[4:]}"


def parse_id(text: str) -> tuple[int, int] | None:
    """The sequence and the incarnation in an id, or None if `text` has not the form of one."""
    data = parse_uuid(text)
    if data is None:
        return None
    number = int.from_bytes(data, "big")
    low = number & ((1 << 64) - 1)
    if (number >> 76) & 0xF != _VERSION or low >> _INCARNATION_BITS != _VARIANT:
        return None
    sequence = (number >> 80) << 12 | (number >> 64) & 0xFFF
    # No queue counts that far; the store could not even name it.
    return (sequence, low & _INCARNATION_MASK) if sequence <= limits.SAFE_INTEGER else None


def parse_uuid(text: str) -> bytes | None:
    """The 16 bytes of a UUID in its form of 36 characters, in either case; None if it is none."""
    if _UUID.fullmatch(text) is None:
        return None
    return bytes.fromhex(text.replace("-", ""))


def new_incarnation() -> int:
    """62 random bits for a queue that is created."""
    return int.from_bytes(os.urandom(8), "big") & _INCARNATION_MASK


def new_claim_id() -> str:
    """A random UUID (RFC 9562 section 5.4)."""
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) & 0b11]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def parse_marker(text: str, incarnation: int) -> Marker | None:
    """Where a page of a queue's messages begins; None: at the beginning.

    A position as it was given out, or a message id: one of another queue, or of this queue before it was
    created anew, points nowhere. Raises BadRequest if `text` has neither form (docs/compatibility.md, 17).
    """
    if not text:
        return None
    if _POSITION.fullmatch(text) and int(text) <= limits.SAFE_INTEGER:
        return "position", int(text)
    if _UUID.fullmatch(text) is None:
        raise BadRequest(f"marker must be one that a list has returned, or a message id, not {text[:64]!r}")
    known = parse_id(text)
    if known is None or known[1] != incarnation:
        return None
    return "sequence", known[0]

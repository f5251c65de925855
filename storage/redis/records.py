"""How messages, subscriptions and announcements are kept as bytes, and read again.

A message's record: flags (1 byte), ttl in seconds (4), client (16), then what the flags say there is:
checksum (16), origin (length of the queue name (1), the name, id (16)), and last the body as it was posted.
A script reads the client out of it (listing.lua); all else is read here. What is encrypted of it, where its
queue wants that, is told in encrypted_records.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from protocol.body import Body, Form
from storage.deliveries import Delivery
from storage.errors import MessageUnreadable
from storage.events import Announced, DeliveriesChanged, Due, Ended, Event, Free, Moved, Taken
from storage.records import DeliveryCounts, Held, Message, NewMessage, Origin, Subscription, Waiting

_MSGPACK, _CHECKSUM, _ORIGIN = 1, 2, 4
_HEAD = struct.Struct(">BI16s")
HEAD_BYTES = _HEAD.size
_STATE = struct.Struct(">II")
_DELIVERY = struct.Struct(">7sI7s7s7s7s7s")
_SECOND = 1_000_000


def pack_sequence(sequence: int) -> bytes:
    """A sequence as the store's keys have it: 7 bytes."""
    return sequence.to_bytes(7, "big")


def pack_message(message: NewMessage, client: bytes) -> bytes:
    """The record of a message to be posted."""
    flags = (_MSGPACK if message.body.form is Form.MSGPACK else 0) | (_CHECKSUM if message.checksum else 0)
    return _HEAD.pack(flags, message.ttl, client) + (message.checksum or b"") + message.body.data


def with_origin(record: bytes, origin: Origin, ttl: int | None) -> bytes:
    """The record of a dead letter: where it comes from, and the ttl it has now (None: the one it had)."""
    flags, old_ttl, client = _HEAD.unpack_from(record)
    at = _HEAD.size + (16 if flags & _CHECKSUM else 0)
    checksum = record[_HEAD.size : at]
    if flags & _ORIGIN:  # it was a dead letter before: the last move is what is told
        at += 1 + record[at] + 16
    name = origin.queue_name.encode()
    head = _HEAD.pack(flags | _ORIGIN, old_ttl if ttl is None else ttl, client)
    return b"".join((head, checksum, bytes([len(name)]), name, origin.message_id, record[at:]))


def unpack_message(now: int, sequence: int, place: int, state: bytes, record: bytes) -> Message:
    """A message as it stands at `now`, from its record and its state (common.lua)."""
    flags, ttl, _ = _HEAD.unpack_from(record)
    at = _HEAD.size
    checksum = origin = claim = None
    count = 0
    if flags & _CHECKSUM:
        checksum = record[at : at + 16]
        at += 16
    if flags & _ORIGIN:
        end = at + 1 + record[at]
        origin = Origin(record[at + 1 : end].decode(), record[end : end + 16])
        at = end + 16
    if state:
        count, changed_ttl = _STATE.unpack_from(state)
        ttl = changed_ttl or ttl
        claim = state[8:] or None
    body = Body(Form.MSGPACK if flags & _MSGPACK else Form.JSON, record[at:])
    # Of those posted together, all but the first have sequences just beyond the time of their announcement.
    age = max(0, now - sequence) // _SECOND
    return Message(sequence, place, ttl, age, body, claim, count, checksum, origin)


def unpack_messages(now: int, told: Sequence[bytes]) -> list[Message]:
    """The messages of a script's answer: sequence, place, state and record of each (`tell` in common.lua)."""
    return [
        unpack_message(now, int.from_bytes(told[i], "big"), int(told[i + 1]), told[i + 2], told[i + 3])
        for i in range(0, len(told), 4)
    ]


def unpack_held(told: Sequence[bytes]) -> list[Held]:
    """What claim_adopt.lua tells (sequence, position and state of each), in the order of positions."""
    found = sorted((int(told[i + 1]), told[i], told[i + 2]) for i in range(0, len(told), 3))
    return [
        Held(int.from_bytes(sequence, "big"), _STATE.unpack_from(state)[0]) for _, sequence, state in found
    ]


def pack_subscription(
    subscriber: str,
    ttl: int,
    options: Mapping[str, Any],
    *,
    confirmed: bool,
    since: int | None = None,
    mark: bytes = b"",
) -> bytes:
    """The record of a subscription.

    :param since: when its time began, where that is not when it was made.
    :param mark: random bytes, by which a call that is repeated knows its own subscription again.
    """
    # The options are bytes inside: scripts read the subscriber, and Lua's decoder does not know all there is.
    fields = [subscriber, ttl, msgpack.packb(options), confirmed, since, mark]
    record: bytes = msgpack.packb(fields, use_bin_type=False)
    return record


def read_subscription(record: bytes) -> tuple[str, int, Mapping[str, Any], bool, int | None]:
    """What `pack_subscription` was given, but for the mark."""
    subscriber, ttl, options, confirmed, since, _ = msgpack.unpackb(record, raw=True)
    return subscriber.decode(), ttl, msgpack.unpackb(options, strict_map_key=False), confirmed, since


def unpack_subscription(
    now: int, sequence: int, record: bytes, delivery: bytes | None = None
) -> Subscription:
    """A subscription as it stands at `now`."""
    subscriber, ttl, options, confirmed, since = read_subscription(record)
    age = max(0, now - (since or sequence)) // _SECOND  # below 0 where the server's clock stepped back
    counts = None if delivery is None else _delivery_counts(delivery)
    return Subscription(sequence, subscriber, ttl, age, options, confirmed, counts)


def unpack_delivery(now: int, timeline: bytes, sequence: bytes, record: bytes, delivery: bytes) -> Delivery:
    """A delivery (lua/delivering.lua) as it stands at `now`."""
    position, attempts, due, *_ = _DELIVERY.unpack_from(delivery)
    due_in = max(0, int.from_bytes(due, "big") - now) / _SECOND
    subscription = unpack_subscription(now, int.from_bytes(sequence, "big"), record, delivery)
    return Delivery(subscription, int.from_bytes(position, "big"), attempts, due_in, timeline)


def _delivery_counts(delivery: bytes) -> DeliveryCounts:
    _, _, _, *counts, _ = _DELIVERY.unpack_from(delivery)
    delivered, failed, missed = (int.from_bytes(count, "big") for count in counts)
    return DeliveryCounts(delivered, failed, missed, delivery[_DELIVERY.size :].decode())


def unpack_event(payload: bytes, decrypt: Callable[[bytes], bytes] | None = None) -> Event:
    """What a script announced (SPUBLISH in lua/).

    :param decrypt: reads a record that may be encrypted. If it raises MessageUnreadable, the messages are not
        told, as if they were too large.
    """
    event = msgpack.unpackb(payload, raw=True)
    if event[0] == b"ended":
        reason = (event[3] if len(event) > 3 else b"unknown").decode()  # an older version tells none
        return Ended(event[1], 0, reason) if event[1] else Ended(None, event[2], reason)
    if event[0] == b"free":
        if len(event) > 3:  # so that an older version finds nothing in it
            return DeliveriesChanged(event[3] or None)
        return Free(event[1], event[2])
    if event[0] == b"taken":
        return Taken(event[1], event[2])
    if event[0] == b"moved":
        return Moved(event[1].decode())
    if event[0] == b"due":
        return Due(max(0, event[2] - event[1]) / _SECOND)
    return _announced(event, decrypt)


def _announced(event: Sequence[Any], decrypt: Callable[[bytes], bytes] | None) -> Announced:
    _, now, before, last, positions, sequences, records, *timeline = event  # an older version tells none
    if not records:
        return Announced(before, last, None, *timeline)
    try:
        records = records if decrypt is None else [decrypt(record) for record in records]
    except MessageUnreadable:
        return Announced(before, last, None, *timeline)
    messages = [
        unpack_message(now, sequence, position, b"", record)
        for position, sequence, record in zip(positions, sequences, records, strict=True)
    ]
    return Announced(before, last, messages, *timeline)


def unpack_waiting(entry: bytes) -> Waiting:
    """A dead letter in the outbox (claim.lua)."""
    queue_name, ttl, sequence, expires, record = msgpack.unpackb(entry, raw=True)
    return Waiting(
        entry,
        int.from_bytes(sequence, "big"),
        int(expires),
        queue_name.decode(),
        None if ttl < 0 else ttl,
        record,
    )

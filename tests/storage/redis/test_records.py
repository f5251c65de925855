"""Messages, subscriptions and announcements as bytes: what goes in comes out."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from protocol.body import Body, Form
from storage.events import Announced, DeliveriesChanged, Due, Ended, Free
from storage.records import Message, NewMessage, Origin, Subscription, Waiting
from storage.redis.records import (
    pack_message,
    pack_sequence,
    pack_subscription,
    read_subscription,
    unpack_event,
    unpack_message,
    unpack_messages,
    unpack_subscription,
    unpack_waiting,
    with_origin,
)

sequences = st.integers(0, 2**53 - 1)
ttls = st.integers(1, 1_209_600)
digests = st.none() | st.binary(min_size=16, max_size=16)
ids = st.binary(min_size=16, max_size=16)
names = st.text("abcXYZ019_-.", min_size=1, max_size=64)
payloads = st.builds(Body, st.sampled_from(Form), st.binary(max_size=50))
new_messages = st.builds(NewMessage, payloads, ttls, st.just(0), digests)


@given(sequences, sequences)
def test_sequences_sort_as_numbers_do(one: int, other: int) -> None:
    assert (pack_sequence(one) < pack_sequence(other)) == (one < other)
    assert len(pack_sequence(one)) == 7


@given(new_messages, ids, sequences)
def test_a_message(message: NewMessage, client: bytes, sequence: int) -> None:
    record = pack_message(message, client)
    assert record[5:21] == client, "where listing.lua looks for it"
    now = sequence + 5_999_999
    told = unpack_message(now, sequence, sequence, b"", record)
    assert told == Message(
        sequence, sequence, message.ttl, 5, message.body, None, 0, message.checksum, origin=None
    )


@given(new_messages, ids, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.just(b"") | ids)
def test_a_messages_state(message: NewMessage, client: bytes, count: int, ttl: int, claim: bytes) -> None:
    state = count.to_bytes(4, "big") + ttl.to_bytes(4, "big") + claim
    told = unpack_message(10, 10, 77, state, pack_message(message, client))
    assert (told.position, told.claim_count, told.claim_id) == (77, count, claim or None)
    assert told.ttl == (ttl or message.ttl)


@given(new_messages, ids, names, ids, names, ids, st.none() | ttls)
def test_a_dead_letter(
    message: NewMessage, client: bytes, first: str, one: bytes, second: str, other: bytes, ttl: int | None
) -> None:
    record = with_origin(pack_message(message, client), Origin(first, one), ttl)
    told = unpack_message(0, 0, 0, b"", record)
    assert told.origin == Origin(first, one)
    assert (told.body, told.checksum, told.ttl) == (message.body, message.checksum, ttl or message.ttl)
    assert record[5:21] == client
    again = unpack_message(0, 0, 0, b"", with_origin(record, Origin(second, other), None))
    assert again == told._replace(origin=Origin(second, other))


def test_several_messages() -> None:
    record = pack_message(NewMessage(Body(Form.JSON, b"1"), 60), bytes(16))
    told = unpack_messages(9, [pack_sequence(3), b"5", b"", record, pack_sequence(4), b"6", b"", record])
    assert [(message.sequence, message.position) for message in told] == [(3, 5), (4, 6)]
    assert unpack_messages(9, []) == []


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(),
    st.integers(1, 2**40),
    st.dictionaries(st.text(), json_values, max_size=3),
    st.booleans(),
    sequences,
)
def test_a_subscription(
    subscriber: str, ttl: int, options: dict[str, Any], confirmed: bool, sequence: int
) -> None:
    record = pack_subscription(subscriber, ttl, options, confirmed=confirmed)
    assert read_subscription(record) == (subscriber, ttl, options, confirmed, None)
    now = sequence + 1_000_000
    assert unpack_subscription(now, sequence, record) == Subscription(
        sequence, subscriber, ttl, 1, options, confirmed
    )
    renewed = pack_subscription(subscriber, ttl, options, confirmed=confirmed, since=now + 1)
    assert unpack_subscription(now + 1_000_001, sequence, renewed).age == 1
    assert unpack_subscription(now, sequence, renewed).age == 0


def test_events() -> None:
    record = pack_message(NewMessage(Body(Form.JSON, b"1"), 60), bytes(16))
    announced = unpack_event(msgpack.packb(["new", 2_000_000, 1, 6, [5, 6], [3, 4], [record, record]]))
    assert isinstance(announced, Announced)
    assert announced.messages is not None
    assert [(m.sequence, m.position, m.age) for m in announced.messages] == [(3, 5, 1), (4, 6, 1)]
    assert unpack_event(msgpack.packb(["new", 2, 1, 6, [], [], []])) == Announced(1, 6, None)
    assert unpack_event(msgpack.packb(["due", 1_000_000, 2_500_000])) == Due(1.5)
    assert unpack_event(msgpack.packb(["due", 2, 1])) == Due(0)
    assert unpack_event(msgpack.packb(["ended", 7])) == Ended(7)
    assert unpack_event(msgpack.packb(["ended", False, 9])) == Ended(None, 9)
    assert unpack_event(msgpack.packb(["ended", 7, 0, "expired"])) == Ended(7, reason="expired")


def test_an_entry_of_the_outbox() -> None:
    for ttl in (-1, 60):
        entry = msgpack.packb(["dead", ttl, pack_sequence(7), b"9000000000000001", b"record"])
        assert unpack_waiting(entry) == Waiting(
            entry, 7, 9_000_000_000_000_001, "dead", None if ttl < 0 else ttl, b"record"
        )


def test_a_change_of_deliveries_is_what_says_nothing_to_an_older_version() -> None:
    changed = ["free", False, [], 7]
    assert unpack_event(msgpack.packb(changed)) == DeliveriesChanged(7)
    assert unpack_event(msgpack.packb([*changed[:3], 0])) == DeliveriesChanged(None)
    assert unpack_event(msgpack.packb(changed[:3])) == Free(messages=False, claims=[])

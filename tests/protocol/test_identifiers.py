"""Ids and markers."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import BadRequest
from protocol.identifiers import (
    format_id,
    new_claim_id,
    new_incarnation,
    parse_id,
    parse_marker,
    parse_uuid,
)
from schemas import limits

sequences = st.integers(0, limits.SAFE_INTEGER)
incarnations = st.integers(0, 2**62 - 1)
OTHER = "070a186c-006c-46aa-952a-2f4f090dc1f6"


@given(sequences, incarnations)
def test_an_id_tells_its_sequence_and_incarnation(sequence: int, incarnation: int) -> None:
    text = format_id(sequence, incarnation)
    assert parse_id(text) == (sequence, incarnation)
    assert parse_id(text.upper()) == (sequence, incarnation)
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert parsed.version == 8
    assert parsed.variant == uuid.RFC_4122


@given(st.integers(limits.SAFE_INTEGER + 1, 2**60 - 1), incarnations)
def test_no_id_has_a_sequence_that_no_queue_reaches(sequence: int, incarnation: int) -> None:
    assert parse_id(format_id(sequence, incarnation)) is None


@given(sequences, sequences, incarnations)
def test_ids_sort_as_sequences_do(one: int, other: int, incarnation: int) -> None:
    assert (format_id(one, incarnation) < format_id(other, incarnation)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bogus",
        OTHER,
        format_id(1, 2).replace("-", ""),
        "{" + format_id(1, 2) + "}",
        format_id(1, 2) + "\n",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert parse_id(text) is None


@given(st.uuids())
def test_an_id_is_a_uuid_of_version_8_and_variant_10(value: uuid.UUID) -> None:
    known = parse_id(str(value))
    if known is None:
        assert value.version != 8 or value.int >> 80 > limits.SAFE_INTEGER >> 12
    else:
        assert format_id(*known) == str(value)


def test_the_variant_is_looked_at() -> None:
    text = format_id(5, 7)
    assert parse_id(text[:19] + "c" + text[20:]) is None


@given(st.uuids())
def test_uuids_are_read_in_their_canonical_form(value: uuid.UUID) -> None:
    assert parse_uuid(str(value)) == value.bytes
    assert parse_uuid(str(value).upper()) == value.bytes
    assert parse_uuid(value.hex) is None
    assert parse_uuid(value.urn) is None


def test_new_identifiers() -> None:
    incarnations = {new_incarnation() for _ in range(100)}
    assert len(incarnations) == 100
    assert all(0 <= value < 2**62 for value in incarnations)
    claims = {new_claim_id() for _ in range(100)}
    assert len(claims) == 100
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in claims)
    assert all(uuid.UUID(text).variant == uuid.RFC_4122 for text in claims)


def test_markers() -> None:
    assert parse_marker("", 7) is None
    assert parse_marker("0", 7) == ("position", 0)
    assert parse_marker("1763801234567890", 7) == ("position", 1763801234567890)
    assert parse_marker(format_id(5, 7), 7) == ("sequence", 5)


def test_a_marker_of_something_else_is_the_beginning() -> None:
    assert parse_marker(format_id(5, 8), 7) is None
    assert parse_marker(OTHER, 7) is None


@pytest.mark.parametrize(
    "text", ["bogus", "-1", "1.0", "9007199254740992", "1" * 17, "٣", "1\n", OTHER + "0"]
)
def test_deviation_17_what_has_not_the_form_of_a_marker_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="marker must be"):
        parse_marker(text, 7)

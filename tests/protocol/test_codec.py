"""Codecs: typed decoding, and what a value has to be like to be told in both forms."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from msgspec import Raw, Struct

from protocol.codec import CODECS, Form
from protocol.errors import BadRequest, SchemaViolation
from tests.protocol.strategies import as_json, as_msgpack, nested, odd_json_values, odd_values, values

JSON, MSGPACK = CODECS[Form.JSON], CODECS[Form.MSGPACK]


class Point(Struct):
    x: int
    y: Raw = msgspec.field(default=Raw(b""))


def tellable(value: Any, depth: int = 0) -> bool:
    """The rule of the protocol, written plainly."""
    if isinstance(value, dict | list):
        if depth == 100:
            return False
        members = value.values() if isinstance(value, dict) else value
        keys = (
            all(isinstance(key, str) and tellable(key) for key in value) if isinstance(value, dict) else True
        )
        return keys and all(tellable(member, depth + 1) for member in members)
    if isinstance(value, bool | bytes) or value is None:
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) and not any(0xD800 <= ord(character) < 0xE000 for character in value)


def passes(form: Form, data: bytes) -> bool:
    try:
        CODECS[form].check(data)
    except BadRequest:
        return False
    return True


def test_each_form_has_its_codec() -> None:
    for form in Form:
        assert CODECS[form].form is form
    assert JSON.encode({}) == bytes(JSON.empty_object)
    assert MSGPACK.encode({}) == bytes(MSGPACK.empty_object)


def test_raw_values_are_put_in_as_they_are() -> None:
    assert JSON.encode({"a": Raw(b"[1, 2]")}) == b'{"a":[1, 2]}'
    assert MSGPACK.encode({"a": Raw(b"\x91\x01")}) == msgpack.packb({"a": [1]})
    assert JSON.encode(Point(1, Raw(b"null"))) == b'{"x":1,"y":null}'


def test_decoding_is_typed() -> None:
    assert JSON.decode(b'{"x": 1, "y": [2 ], "z": 3}', Point) == Point(1, Raw(b"[2 ]"))
    assert MSGPACK.decode(Raw(msgpack.packb({"x": 1})), Point) == Point(1)
    assert JSON.decode(b"{}", dict[str, Raw]) == {}


@pytest.mark.parametrize(
    "data", [b'{"x": 1.0}', b'{"x": true}', b'{"x": "1"}', b'{"x": null}', b"{}", b"[]", b'"\xff"', b"{", b""]
)
def test_decoding_refuses_what_has_another_type(data: bytes) -> None:
    with pytest.raises(SchemaViolation):
        JSON.decode(data, Point)


@pytest.mark.parametrize(
    "data", [as_msgpack({"x": 1.0}), as_msgpack({"x": True}), b"\x80", b"\x90", b"", b"\xc1", b"\x81\xa1x"]
)
def test_decoding_msgpack_refuses_what_has_another_type(data: bytes) -> None:
    with pytest.raises(SchemaViolation):
        MSGPACK.decode(data, Point)


def test_a_violation_says_where_and_what() -> None:
    with pytest.raises(SchemaViolation, match=r"Expected `int`, got `str` - at `\$\.x`"):
        JSON.decode(b'{"x": "1"}', Point)


@pytest.mark.parametrize("form", Form)
def test_decoding_survives_any_depth(form: Form) -> None:
    deep = b'{"x":' + b"[" * 100_000 if form is Form.JSON else b"\x81\xa1x" + b"\x91" * 100_000
    with pytest.raises(SchemaViolation):
        CODECS[form].decode(deep, Point)


@pytest.mark.parametrize("data", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc3"'])
def test_proof_finds_bad_utf8(data: bytes) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        JSON.prove(data)
    JSON.prove('"ü"'.encode())


@pytest.mark.parametrize(
    "data", [b"\xc1", b"", b"\x81\xa1a\x01\x01", b"\xa1\xff", b"\x81\x01\x01", b"\x91" * 5000]
)
def test_proof_finds_malformed_msgpack(data: bytes) -> None:
    with pytest.raises(ValueError):
        MSGPACK.prove(data)
    MSGPACK.prove(b"\x80")


@given(values)
def test_what_can_be_told_in_both_forms_passes(value: Any) -> None:
    assert passes(Form.JSON, as_json(value))
    assert passes(Form.MSGPACK, as_msgpack(value))


@given(odd_json_values)
def test_the_check_of_json_agrees_with_the_plain_rule(value: Any) -> None:
    # Two halves of a surrogate pair in a row are a whole one in JSON.
    assert passes(Form.JSON, as_json(value)) == tellable(json.loads(as_json(value)))


@given(odd_values)
def test_the_check_of_msgpack_agrees_with_the_plain_rule(value: Any) -> None:
    assert passes(Form.MSGPACK, as_msgpack(value)) == tellable(value)


@pytest.mark.parametrize("form", Form)
def test_nesting_ends_at_100(form: Form) -> None:
    encode = as_json if form is Form.JSON else as_msgpack
    CODECS[form].check(encode(nested(100)))
    CODECS[form].check(encode([{} for _ in range(200)]))
    for depth in (101, 400):
        with pytest.raises(BadRequest, match="nested"):
            CODECS[form].check(encode(nested(depth)))
    with pytest.raises(BadRequest, match="nested"):
        CODECS[form].check(encode({"a": nested(100)}))


def test_any_depth_is_answered() -> None:
    with pytest.raises(BadRequest, match="nested"):
        JSON.check(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(BadRequest, match="nested"):
        JSON.check(b'["\\ud800",' + b"[" * 100_000 + b"]" * 100_001)
    with pytest.raises(BadRequest, match="not MessagePack"):
        MSGPACK.check(b"\x91" * 100_000 + b"\x90")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00\\ud800": 1}', "surrogate"),
        (b"1e999", "finite"),
        (b"[-1e999]", "finite"),
        (b"18446744073709551616", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"[1, " + b"9" * 5000 + b"]", "64 bits"),
        (b"NaN", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[1", "not JSON"),
    ],
)
def test_the_reason_is_told(data: bytes, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        JSON.check(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (as_msgpack(math.nan), "finite"),
        (as_msgpack([math.inf]), "finite"),
        (as_msgpack({b"a": 1}), "not a string"),
        (b"\x81\x01\x01", "not MessagePack"),
        (as_msgpack(msgpack.ExtType(5, b"x")), "extension"),
        (as_msgpack([msgpack.Timestamp(1)]), "extension"),
        (b"\xa1\xff", "not MessagePack"),
        (b"\xc1", "not MessagePack"),
        (b"", "not MessagePack"),
        (b"\x01\x01", "not MessagePack"),
    ],
)
def test_the_reason_is_told_for_msgpack(data: bytes, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        MSGPACK.check(data)


def test_all_64_bits_are_there() -> None:
    for number in (2**64 - 1, -(2**63), 2**63):
        JSON.check(as_json(number))
        MSGPACK.check(as_msgpack(number))

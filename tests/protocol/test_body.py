"""Bodies told in either form, and their checksums."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgpack
import pytest
from hypothesis import given

from protocol.body import Body, Form, checksum, show_checksum
from tests.protocol.strategies import as_json, as_msgpack, binary_values, values


def through(data: bytes, form: Form, other: Form) -> bytes:
    """`data` told in the other form and back."""
    told = Body(form, data).told_in(other)
    return bytes(Body(other, bytes(told)).told_in(form))


@given(values)
def test_json_survives_msgpack(value: Any) -> None:
    back = json.loads(through(as_json(value), Form.JSON, Form.MSGPACK))
    assert repr(back) == repr(json.loads(as_json(value)))


@given(binary_values)
def test_msgpack_survives_json(value: Any) -> None:
    back = msgpack.unpackb(through(as_msgpack(value), Form.MSGPACK, Form.JSON))
    assert repr(back) == repr(msgpack.unpackb(as_msgpack(value)))


@pytest.mark.parametrize("form", Form)
def test_the_same_form_is_told_as_the_same_bytes(form: Form) -> None:
    assert bytes(Body(form, b' {"a": 1} ').told_in(form)) == b' {"a": 1} '


def in_msgpack(text: str) -> Any:
    return msgpack.unpackb(Body(Form.JSON, text.encode()).told_in(Form.MSGPACK))


def test_deviation_11_binary_data_is_told_in_base64() -> None:
    body = Body(Form.MSGPACK, as_msgpack({"a": [b"\x00\xff", {"b": b""}], "c": "x"}))
    assert json.loads(bytes(body.told_in(Form.JSON))) == {
        "a": [{"$binary": "AP8="}, {"b": {"$binary": ""}}],
        "c": "x",
    }
    assert in_msgpack('{"a": [{"$binary": "AP8="}], "b": 1}') == {"a": [b"\x00\xff"], "b": 1}
    assert in_msgpack('{"\\u0024binary": "AP8="}') == b"\x00\xff"


@pytest.mark.parametrize(
    "value",
    [
        {"$binary": "AP8="[:3]},
        {"$binary": "AP8=\n"},
        {"$binary": "AP9="},
        {"$binary": "_-=="},
        {"$binary": "ü"},
        {"$binary": 5},
        {"$binary": ["AP8="]},
        {"$binary": "AP8=", "a": 1},
        {"binary": "AP8="},
        {},
    ],
)
def test_other_objects_stay_objects(value: dict[str, Any]) -> None:
    assert in_msgpack(json.dumps(value)) == value


@pytest.mark.parametrize("value", ["x", {"n": 0, "t": "ü"}, [1, 2.5, None, True], 0, False, "", {}])
def test_the_checksum_is_upstreams(value: Any) -> None:
    digest = hashlib.md5(json.dumps(value).encode(), usedforsecurity=False)
    for body in (Body(Form.JSON, as_json(value)), Body(Form.MSGPACK, as_msgpack(value))):
        found = checksum(body)
        assert found == digest.digest()
        assert found is not None
        assert show_checksum(found) == f"MD5:{digest.hexdigest()}"


def test_a_null_body_has_no_checksum() -> None:
    assert checksum(Body(Form.JSON, b"null")) is None
    assert checksum(Body(Form.MSGPACK, b"\xc0")) is None

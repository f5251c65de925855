"""What a request is kept as."""

from __future__ import annotations

import pytest
from msgspec import Raw

from protocol.codec import CODECS, Form
from protocol.incoming import is_secret, without_fields, without_secrets
from tests.protocol.strategies import as_msgpack

JSON = CODECS[Form.JSON]


@pytest.mark.parametrize(
    ("headers", "echoed"),
    [
        (b'{"Client-ID": "c" }', b'{"Client-ID": "c" }'),
        (b'{"X-Auth-Token":"t","a":[1, 2]}', b'{"a":[1, 2]}'),
        (b'{"x-AUTH-token":"t","URL-signature":5}', b"{}"),
        (b'{"\\u0058-Auth-Token":"t","a":1}', b'{"a":1}'),
        (b'{"a":"\\n","b":"x-auth-token"}', b'{"a":"\\n","b":"x-auth-token"}'),
        (b'["x-auth-token"]', b"{}"),
    ],
)
def test_deviation_5_secrets_are_not_echoed(headers: bytes, echoed: bytes) -> None:
    assert bytes(without_secrets(Raw(headers), JSON)) == echoed


def test_deviation_5_holds_in_binary_frames() -> None:
    codec = CODECS[Form.MSGPACK]
    headers = Raw(as_msgpack({"X-Auth-Token": "t", "a": b"\xff"}))
    assert bytes(without_secrets(headers, codec)) == as_msgpack({"a": b"\xff"})
    assert without_secrets(Raw(as_msgpack({b"X-Auth-Token": "t"})), codec) == codec.empty_object


@pytest.mark.parametrize(
    ("body", "echoed"),
    [
        (b'{"uri": "secret", "weight": 1 }', b'{"weight":1}'),
        (b'{"\\u0075ri": "secret", "uri": "secret", "a": {"uri": 1}}', b'{"a":{"uri": 1}}'),
        (b'["secret"]', b"{}"),
        (b'"secret"', b"{}"),
        (b"{}", b"{}"),
    ],
)
def test_deviation_5_secret_fields_are_not_echoed(body: bytes, echoed: bytes) -> None:
    assert bytes(without_fields(Raw(body), {"uri"}, JSON)) == echoed


def test_secret_headers_are_known_in_any_case() -> None:
    assert is_secret("x-Auth-TOKEN")
    assert is_secret(b"URL-Signature")
    assert not is_secret("Client-ID")
    assert not is_secret(5)

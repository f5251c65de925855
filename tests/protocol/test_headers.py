"""Headers that come again and again."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from protocol import headers
from protocol.codec import CODECS, Form
from protocol.errors import SchemaViolation
from protocol.headers import LONGEST, REMEMBERED, read_headers
from schemas.envelope import AuthenticateHeaders, RequestHeaders
from tests.protocol.strategies import as_msgpack

JSON = CODECS[Form.JSON]
USUAL = {"Client-ID": "c", "X-Project-ID": "p"}


def as_json(**more: object) -> Raw:
    return Raw(json.dumps(USUAL | more).encode())


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    headers._known.clear()


def test_the_same_headers_are_read_once() -> None:
    first = read_headers(as_json(), JSON, RequestHeaders)
    assert first[0] == RequestHeaders(client_id="c", project_id="p")
    assert bytes(first[1]) == bytes(as_json())
    assert read_headers(as_json(), JSON, RequestHeaders) is first


def test_other_headers_are_other_headers() -> None:
    read_headers(as_json(), JSON, RequestHeaders)
    found, shown = read_headers(as_json(Date="today"), JSON, RequestHeaders)
    assert found.date == "today"
    assert bytes(shown) == bytes(as_json(Date="today"))


def test_what_is_enough_for_one_action_is_not_for_another() -> None:
    read_headers(as_json(), JSON, RequestHeaders)
    with pytest.raises(SchemaViolation, match="X-Auth-Token"):
        read_headers(as_json(), JSON, AuthenticateHeaders)


def test_both_forms_are_remembered() -> None:
    codec, raw = CODECS[Form.MSGPACK], Raw(as_msgpack(USUAL))
    first = read_headers(raw, codec, RequestHeaders)
    assert first[0] == RequestHeaders(client_id="c", project_id="p")
    assert bytes(first[1]) == bytes(raw)
    assert read_headers(Raw(as_msgpack(USUAL)), codec, RequestHeaders) is first


@pytest.mark.parametrize("name", ["X-Auth-Token", "x-auth-token", "URL-Signature", "url-signature"])
def test_secrets_are_neither_shown_nor_remembered(name: str) -> None:
    for _ in range(2):
        _, shown = read_headers(as_json(**{name: "secret"}), JSON, RequestHeaders)
        assert b"secret" not in bytes(shown)
    assert not headers._known


def test_a_bounded_number_is_remembered() -> None:
    for number in range(REMEMBERED + 5):
        read_headers(as_json(Date=str(number)), JSON, RequestHeaders)
    assert len(headers._known) == REMEMBERED
    assert (bytes(as_json(Date="4")), Form.JSON, RequestHeaders) not in headers._known


def test_long_ones_are_not_remembered() -> None:
    raw = as_json(Date="x" * LONGEST)
    assert bytes(read_headers(raw, JSON, RequestHeaders)[1]) == bytes(raw)
    assert not headers._known

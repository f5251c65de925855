"""The messages of a post."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from protocol.body import Body, Form
from protocol.envelope import check, read
from protocol.errors import BadRequest
from protocol.messages import PostedMessage, read_messages
from tests.protocol.strategies import as_json, as_msgpack, nested

HEADERS = b'{"Client-ID": "11111111-1111-4111-8111-111111111111", "X-Project-ID": "p"}'


def post(array: bytes, post_bytes: int = 262144) -> list[PostedMessage]:
    """The messages of a text frame with this `messages` array."""
    frame = (
        b'{"action": "message_post", "headers": ' + HEADERS + b', "body": {"messages":' + array
    ) + b', "queue_name": "q"}}'
    incoming = read(frame, Form.JSON)
    assert incoming.failure is None
    check(incoming)
    return read_messages(incoming, post_bytes)


def test_messages_are_read_in_order_and_their_bodies_kept() -> None:
    array = b'[{"ttl": 60, "body": {"a": [1, 2 ]}}, {"body":null,"delay":0}, {"body": 5, "unknown": 1}]'
    assert post(array) == [
        PostedMessage(60, None, Body(Form.JSON, b'{"a": [1, 2 ]}')),
        PostedMessage(None, 0, Body(Form.JSON, b"null")),
        PostedMessage(None, None, Body(Form.JSON, b"5")),
    ]


def test_messages_in_a_binary_frame() -> None:
    frame = as_msgpack(
        {
            "action": "message_post",
            "headers": {"Client-ID": "1" * 32, "X-Project-ID": "p"},
            "body": {"queue_name": "q", "messages": [{"body": b"\x00\xff", "delay": 900}, {"body": 1.5}]},
        }
    )
    messages = read_messages(read(frame, Form.MSGPACK))
    assert messages == [
        PostedMessage(None, 900, Body(Form.MSGPACK, msgpack.packb(b"\x00\xff"))),
        PostedMessage(None, None, Body(Form.MSGPACK, msgpack.packb(1.5))),
    ]


def each(key: str, *values: Any) -> list[dict[str, Any]]:
    """One message per value of a key."""
    return [{key: value, "body": "x"} for value in values]


@pytest.mark.parametrize("ttl", [60, 300, 1209600])
def test_legal_ttls(ttl: int) -> None:
    assert post(as_json([{"ttl": ttl, "body": "x"}]))[0].ttl == ttl


@pytest.mark.parametrize(
    "message",
    [
        *each("ttl", 59, 0, -5, 1209601, "300", 60.0, 60.5, None, True, [], 10**20),
        *each("delay", 901, -1, "x", None, 1.0),
        {"ttl": 60},
        {},
        5,
        "x",
        None,
        [],
        {"body": 2**64},
        {"body": 2**70},
        {"body": nested(101)},
    ],
    ids=lambda value: str(value)[:40],
)
def test_deviation_24_what_is_wrong_inside_a_message_is_told_as_an_exception(message: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        post(as_json([{"body": "good"}, message]))
    assert caught.value.body()["code"] == "bad_request"
    assert "messages[1]" in str(caught.value)


def test_deviation_25_the_size_is_that_of_the_encoded_array() -> None:
    array = b'[{"body": "' + "é".encode() * 20 + b'"} ]'
    assert len(post(array, len(array))) == 1
    with pytest.raises(BadRequest, match=f"has {len(array)} bytes; at most {len(array) - 1} are accepted"):
        post(array, len(array) - 1)


def test_the_default_limit_is_that_of_the_protocol() -> None:
    post(as_json([{"ttl": 60, "body": "x" * 262000}]))
    with pytest.raises(BadRequest, match="at most 262144"):
        post(as_json([{"ttl": 60, "body": "x" * 262144}]))


def dedup_ids(form: Form, *values: Any, extended: bool = True) -> list[bytes]:
    """The dedup_ids of messages with these as `dedup_id`."""
    request = {
        "action": "message_post",
        "headers": {"Client-ID": "1" * 32, "X-Project-ID": "p"},
        "body": {"queue_name": "q", "messages": [{"body": 1, "dedup_id": value} for value in values]},
    }
    frame = as_json(request) if form is Form.JSON else as_msgpack(request)
    return [message.dedup_id for message in read_messages(read(frame, form), extended=extended)]


@pytest.mark.parametrize("form", Form)
def test_dedup_ids(form: Form) -> None:
    assert dedup_ids(form, "a", "\u00e9" * 64) == [b"a", "\u00e9".encode() * 64]
    assert dedup_ids(form, "a", 5, None, "x" * 500, extended=False) == [b""] * 4


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("value", ["", "x" * 129, "\u00e9" * 65, 5, None, True, ["a"]])
def test_illegal_dedup_ids(value: Any, form: Form) -> None:
    with pytest.raises(BadRequest, match=r"messages\[1\]\.dedup_id must be a string of 1 to 128 bytes"):
        dedup_ids(form, "good", value)

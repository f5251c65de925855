"""What webhooks are sent, and what subscriptions may ask for there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol.body import Body, Form
from protocol.errors import BadRequest
from protocol.webhooks import PLACEHOLDER, check_post_data, check_post_headers, notice_of, posted


def test_a_notice_is_what_sockets_are_told() -> None:
    notice = notice_of("jobs", 60, Body(Form.JSON, b'{"n":1}'))
    assert msgspec.json.decode(notice) == {
        "ttl": 60,
        "body": {"n": 1},
        "Message_Type": "Notification",
        "queue_name": "jobs",
    }


def test_binary_values_are_told_in_json() -> None:
    notice = notice_of("jobs", 60, Body(Form.MSGPACK, msgspec.msgpack.encode(b"\xff")))
    assert msgspec.json.decode(notice)["body"] == {"$binary": "/w=="}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, b'{"a":"\xc3\xa4"}'),
        ('{"event": "$zaqar_message$"}', b'{"event": {"a":"\xc3\xa4"}}'),
        ('["$zaqar_message$", "$zaqar_message$"]', b'[{"a":"\xc3\xa4"}, {"a":"\xc3\xa4"}]'),
        ("fixed \u00fc", b"fixed \xc3\xbc"),
        ("$zaqar_message$", b"$zaqar_message$"),
        ("", b""),
    ],
)
def test_post_data(template: str | None, expected: bytes) -> None:
    options = {} if template is None else {"post_data": template}
    assert posted('{"a":"ä"}'.encode(), options) == expected


def test_a_message_that_holds_the_placeholder_is_not_looked_into() -> None:
    assert posted(b'{"body":"$zaqar_message$"}', {"post_data": PLACEHOLDER}) == b'{"body":"$zaqar_message$"}'


@pytest.mark.parametrize(
    "value", [5, ["x"], {"x": "y"}, PLACEHOLDER * 5], ids=["5", "list", "object", "five"]
)
def test_post_data_that_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="post_data"):
        check_post_data(value)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "text",
            [],
            {"X": 1},
            {"": "x"},
            {"a b": "x"},
            {"a:": "x"},
            {"X": "a\nb"},
            {"X": "a\rb: c"},
            {"X": "ä"},
        ),
        *({"Host": "x"}, {"content-length": "1"}, {"Transfer-Encoding": "chunked"}, {"CONNECTION": "close"}),
        *({"X-Zaqar-Signature": "x"}, {"x-zaqar-whatever": "x"}, {"Expect": "100-continue"}),
    ],
    ids=str,
)
def test_headers_that_are_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="post_headers"):
        check_post_headers(value)


def test_headers_that_are_not() -> None:
    check_post_data(PLACEHOLDER * 4)
    check_post_headers(None)
    check_post_headers(
        {"Authorization": "Bearer x", "Content-Type": "text/plain", "X-A": "a\tb", "X-Empty": ""}
    )

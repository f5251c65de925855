"""Subscriber URLs, lifetimes and options."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec import UNSET, Raw

from protocol.body import Form
from protocol.errors import BadRequest
from protocol.subscribers import check_lifetime, check_subscriber, read_options


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/a",
        "https://127.0.0.1:9/a",
        "HTTP://127.0.0.1:9/U",
        "http://[::1]:9/",
        "mailto:a@example.org",
        "mailto:a@example.org?subject=hi",
        "mailto:a@example.org?cc=b@example.org",
        "mailto:a%40example.org",
        "trust+http://127.0.0.1:9/a",
        "Trust+HTTPS://example.org",
    ],
)
def test_legal_subscribers(url: str) -> None:
    check_subscriber(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "foo",
        "ws://x/",
        "http://",
        "http:x",
        "http:///path",
        "http://:80/",
        "http://[::1",
        "http://x:99999/",
        "http://x:y/",
        "http://a b/",
        "http://a\n/",
        "websocket:",
        "javascript:alert(1)",
        "mailto:",
        "mailto:nobody",
        "mailto:@example.org",
        "trust+ftp://x/",
        "http://user@x/",
        "https://user:password@x/",
        "mailto:a@example.org?subject=two%0Alines",
        "mailto:a@example.org?cc=b@example.org&Subject=two%0Dlines",
    ],
)
def test_deviation_29_illegal_subscribers(url: str) -> None:
    with pytest.raises(BadRequest, match="subscriber must"):
        check_subscriber(url)


def test_a_subscription_ends_before_the_year_9999() -> None:
    now = 1_800_000_000.0
    check_lifetime(60, now)
    check_lifetime(10**9, now)
    check_lifetime(253_370_764_799 - 1_800_000_000, now)
    for ttl in (253_370_764_800 - 1_800_000_000, 10**12, 10**15, 10**30):
        with pytest.raises(BadRequest, match="year 9999"):
            check_lifetime(ttl, now)


def read(options: dict[str, Any]) -> dict[str, Any]:
    return read_options(msgspec.json.decode(json.dumps(options), type=dict[str, Raw]), Form.JSON)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"a": 1},
        {"post_headers": {"X": "y"}},
        {"post_headers": None},
        {"post_data": '{"m": "$zaqar_message$"}'},
        {"_retry_policy": {"minimum_delay": 5, "maximum_delay": 30}},
        {"_retry_policy": None},
        {"from": "a@b", "subject": "s"},
    ],
)
def test_legal_options(options: dict[str, Any]) -> None:
    assert read(options) == options


@pytest.mark.parametrize(
    "options",
    [
        {"_retry_policy": "x"},
        {"_retry_policy": {"retry_backoff_function": "zz"}},
        {"post_headers": "x"},
        {"post_headers": {"X": 5}},
        {"post_data": {}},
        {"trust_id": "f00d"},
        {"trust_id": None},
        {"from": "nobody"},
        {"from": 5},
        {"from": "a@b, c@d"},
        {"subject": 5},
        {"subject": "two\nlines"},
        {"subject": "x" * 1_000},
    ],
)
def test_deviation_24_illegal_options(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read(options)


def test_no_options() -> None:
    assert read_options(UNSET, Form.JSON) == {}


def test_options_have_to_be_tellable_in_both_forms() -> None:
    options = msgspec.msgpack.decode(msgpack.packb({"a": msgpack.Timestamp(1)}), type=dict[str, Raw])
    with pytest.raises(BadRequest, match=r"options: .*extension"):
        read_options(options, Form.MSGPACK)


def test_options_have_a_limit() -> None:
    with pytest.raises(BadRequest, match="at most 65536"):
        read_options({"text": Raw(b'"%b"' % (b"x" * 65_536))}, Form.JSON)

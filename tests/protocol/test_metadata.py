"""Metadata of queues: the reserved keys, defaults, settings."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from msgspec import UNSET, Raw

from protocol.body import Form
from protocol.errors import BadRequest
from protocol.metadata import QueueSettings, check_metadata, read_metadata, settings, with_defaults


def read(metadata: Any, form: Form = Form.JSON) -> dict[str, Any]:
    data = json.dumps(metadata).encode() if form is Form.JSON else msgpack.packb(metadata)
    return read_metadata(Raw(data), form)


def each(key: str, *values: Any) -> list[dict[str, Any]]:
    """One metadata object per value of a key."""
    return [{key: value} for value in values]


LEGAL: list[dict[str, Any]] = [
    {},
    {"a": {"b": [1, None, 2.5, "ü"]}},
    {"": "x"},
    {"big": "x" * 65000},
    {"_default_message_ttl": 60},
    {"_default_message_ttl": 1209600},
    {"_default_message_ttl": None},
    {"_max_messages_post_size": 1},
    {"_max_messages_post_size": 262144},
    {"_max_messages_post_size": None},
    {"_max_claim_count": 0},
    {"_max_claim_count": 1000000000},
    {"_max_claim_count": None},
    {"_dead_letter_queue": "dlq"},
    {"_dead_letter_queue": None},
    {"_dead_letter_queue_messages_ttl": 60},
    {"_dead_letter_queue_messages_ttl": 1209600},
    {"_dead_letter_queue_messages_ttl": None},
    {"_default_message_delay": 0},
    {"_default_message_delay": 900},
    {"_default_message_delay": None},
    {"_enable_encrypt_messages": True},
    {"_enable_encrypt_messages": False},
    {"_enable_encrypt_messages": None},
    {"_flavor": "fl"},
    {"_flavor": None},
    {"_retry_policy": {}},
    {"_retry_policy": None},
    {"_unknown_reserved": 1},
]

ILLEGAL: list[dict[str, Any]] = [
    {"big": "x" * 65536},
    *each("_default_message_ttl", 59, 0, -1, 1209601, "300", 3.5, True, []),
    *each("_max_messages_post_size", 0, -1, 262145, "100", 3.5, True),
    *each("_max_claim_count", -1, "3", 1.5, True, 2**53),
    *each("_dead_letter_queue", "", 5, "bad name!", "q" * 65, "nl\n"),
    *each("_dead_letter_queue_messages_ttl", 59, 0, 1209601, "60"),
    *each("_default_message_delay", 901, -1, "1", 1.5),
    *each("_enable_encrypt_messages", "yes", 1, 0),
    *each("_flavor", 5, {}),
    {"_retry_policy": "str"},
    {"big": 2**64},
    {"big": -(2**63) - 1},
]


@pytest.mark.parametrize("metadata", LEGAL)
@pytest.mark.parametrize("form", Form)
def test_legal_metadata_is_kept_as_it_is(metadata: dict[str, Any], form: Form) -> None:
    assert read(metadata, form) == metadata


@pytest.mark.parametrize("metadata", ILLEGAL, ids=lambda value: str(value)[:60])
def test_deviation_29_reserved_metadata_of_a_wrong_type_or_range_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read(metadata)


@pytest.mark.parametrize("metadata", [[], [1], "str", 5, True])
def test_deviation_29_metadata_is_an_object_or_null(metadata: Any) -> None:
    with pytest.raises(BadRequest, match="metadata must be an object or null"):
        read(metadata)


def test_no_metadata() -> None:
    assert read_metadata(UNSET, Form.JSON) == {}
    assert read(None) == {}


def test_deviation_25_the_size_is_that_of_the_encoded_object() -> None:
    fits = b'{"a": "' + b"x" * (65536 - 9) + b'"}'
    assert read_metadata(Raw(fits), Form.JSON) == {"a": "x" * (65536 - 9)}
    with pytest.raises(BadRequest, match="65537 bytes; at most 65536"):
        read_metadata(Raw(fits + b" "), Form.JSON)


def test_binary_values_are_kept_as_a_text_client_sees_them() -> None:
    assert read({"a": b"\x00\xff"}, Form.MSGPACK) == {"a": {"$binary": "AP8="}}


def test_what_cannot_be_told_in_both_forms_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"metadata: .*extension"):
        read({"a": msgpack.ExtType(5, b"x")}, Form.MSGPACK)


def test_the_whole_of_changed_metadata_is_checked() -> None:
    check_metadata({"a": 1})
    with pytest.raises(BadRequest, match="bytes"):
        check_metadata({"big": "x" * 65536})
    with pytest.raises(BadRequest, match="_flavor"):
        check_metadata({"_flavor": 5})


def test_defaults_are_filled_in() -> None:
    assert with_defaults({"a": 1, "_default_message_ttl": 99, "_max_claim_count": None}) == {
        "a": 1,
        "_max_messages_post_size": 262144,
        "_default_message_ttl": 99,
        "_default_message_delay": 0,
        "_dead_letter_queue": None,
        "_dead_letter_queue_messages_ttl": None,
        "_max_claim_count": None,
        "_enable_encrypt_messages": False,
    }


def test_settings() -> None:
    assert settings({"_default_message_ttl": None}) == QueueSettings(
        3600, 0, 262144, None, None, None, None, False
    )
    assert settings(
        {
            "_default_message_ttl": 99,
            "_default_message_delay": 2,
            "_max_messages_post_size": 120,
            "_dead_letter_queue": "dlq",
            "_dead_letter_queue_messages_ttl": 90,
            "_max_claim_count": 0,
            "_flavor": "gold",
            "_enable_encrypt_messages": True,
        }
    ) == QueueSettings(99, 2, 120, "dlq", 90, 0, "gold", True)

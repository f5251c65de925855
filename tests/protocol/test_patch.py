"""JSON Patch on metadata."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest

from protocol.body import Form
from protocol.errors import BadRequest, Conflict
from protocol.patch import apply_patch
from schemas.queues import PatchOperation

METADATA = {"a": 1, "_default_message_ttl": 99}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    read = msgspec.json.decode(msgspec.json.encode(operations), type=list[PatchOperation])
    return apply_patch(METADATA, read, Form.JSON)


def test_operations_are_applied_in_order() -> None:
    assert patch(
        {"op": "add", "path": "/metadata/b", "value": {"c": [None]}},
        {"op": "replace", "path": "/metadata/b", "value": 2},
        {"op": "remove", "path": "/metadata/a"},
        {"op": "add", "path": "/metadata/_default_message_ttl", "value": 100},
    ) == {"b": 2, "_default_message_ttl": 100}
    assert METADATA == {"a": 1, "_default_message_ttl": 99}


def test_reserved_keys_stand_at_their_defaults() -> None:
    assert patch(
        {"op": "replace", "path": "/metadata/_default_message_delay", "value": 5},
        {"op": "remove", "path": "/metadata/_max_claim_count"},
    ) == {**METADATA, "_default_message_delay": 5}


def test_pointers_are_unescaped() -> None:
    assert patch({"op": "add", "path": "/metadata/x~1y~0z~01", "value": 1}) == {**METADATA, "x/y~z~1": 1}
    assert patch({"op": "add", "path": "/metadata/", "value": 1}) == {**METADATA, "": 1}


@pytest.mark.parametrize("operation", ["replace", "remove"])
def test_what_is_missing_is_a_conflict(operation: str) -> None:
    with pytest.raises(Conflict, match=r"patch\[1\]"):
        patch({"op": "remove", "path": "/metadata/a"}, {"op": operation, "path": "/metadata/zz", "value": 1})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/metadata/b"},
        {"op": "replace", "path": "/metadata/a"},
        {"op": "add", "path": "/metadata/a/b", "value": 1},
        {"op": "add", "path": "/metadata", "value": {}},
        {"op": "add", "path": "metadata/b", "value": 1},
        {"op": "add", "path": "", "value": 1},
        {"op": "add", "path": "/metadata/_default_message_ttl", "value": 59},
        {"op": "add", "path": "/metadata/big", "value": "x" * 65536},
        {"op": "remove", "path": "/other/a"},
    ],
    ids=lambda value: str(value)[:60],
)
def test_illegal_patches(operation: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        patch(operation)


def test_values_are_in_the_form_of_the_request() -> None:
    data = msgpack.packb([{"op": "add", "path": "/metadata/b", "value": b"\x00"}])
    operations = msgspec.msgpack.decode(data, type=list[PatchOperation])
    assert apply_patch({}, operations, Form.MSGPACK) == {"b": {"$binary": "AA=="}}
    data = msgpack.packb([{"op": "add", "path": "/metadata/b", "value": float("nan")}])
    operations = msgspec.msgpack.decode(data, type=list[PatchOperation])
    with pytest.raises(BadRequest, match=r"patch\[0\]\.value: .*finite"):
        apply_patch({}, operations, Form.MSGPACK)

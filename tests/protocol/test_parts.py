"""How many arrays and objects a frame may hold, however small they are."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from protocol import envelope
from protocol.codec import Form
from protocol.errors import TooManyParts
from protocol.tellable import find_msgpack_flaw, read_msgpack
from schemas import limits

FORMS = list(Form)
HEADERS = {"Client-ID": "c", "X-Project-ID": "p"}
LEFT = limits.FRAME_PARTS - 4
"""What a request below may hold beside itself, its headers, its body and the array `x`."""


def frame(form: Form, x: Any, queue_name: Any = "q") -> bytes:
    request = {"action": "queue_get", "headers": HEADERS, "body": {"queue_name": queue_name, "x": x}}
    return json.dumps(request).encode() if form is Form.JSON else msgpack.packb(request)


def failure(form: Form, data: bytes) -> str:
    """What is wrong with a frame; empty: nothing."""
    found = envelope.read(data, form).failure
    return "" if found is None else found.code


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [[], {}, [1], {"": 1}])
def test_as_many_as_may_be_and_one_more(form: Form, part: Any) -> None:
    assert failure(form, frame(form, [part] * LEFT)) == ""
    assert failure(form, frame(form, [part] * (LEFT + 1))) == "too_many_parts"


@pytest.mark.parametrize("form", FORMS)
def test_the_refusal_says_what_to_do(form: Form) -> None:
    found = envelope.read(frame(form, [[]] * (LEFT + 1)), form)
    assert isinstance(found.failure, TooManyParts)
    assert found.failure.status == 400
    assert found.failure.body()["error"] == (
        f"Can't decode {form.value} request: over 50000 arrays and objects in one frame; send less at once."
    )


@pytest.mark.parametrize("form", FORMS)
def test_they_count_wherever_they_are(form: Form) -> None:
    inside: list[Any] = [[[]] * 1000] * 51
    assert failure(form, frame(form, inside)) == "too_many_parts"
    assert failure(form, frame(form, 1, queue_name=inside)) == "too_many_parts"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scalar", [1, -1, 1.5, "", "é", None, True])
def test_plain_values_do_not_count(form: Form, scalar: Any) -> None:
    assert failure(form, frame(form, [scalar] * 100_000)) == ""


@pytest.mark.parametrize("text", ["[{", '"[', "\\[", '\\"[{', "漢字", "\x80\x90"])
@pytest.mark.parametrize("form", FORMS)
def test_what_looks_like_one_in_a_text_is_none(form: Form, text: str) -> None:
    assert failure(form, frame(form, text * 60_000)) == ""
    assert failure(form, frame(form, [text] * 60_000)) == ""


@pytest.mark.parametrize("part", [b"\xd4\x05\x00", b"\xc7\x00\x05", b"\x90", b"\x80"])
def test_extension_values_count(part: bytes) -> None:
    whole = frame(Form.MSGPACK, "HERE")
    mark = msgpack.packb("HERE")

    def holding(count: int) -> bytes:
        return whole.replace(mark, b"\xdd" + count.to_bytes(4, "big") + part * count)

    assert failure(Form.MSGPACK, holding(LEFT)) == ""
    assert failure(Form.MSGPACK, holding(LEFT + 1)) == "too_many_parts"


@pytest.mark.parametrize(
    "data",
    [
        b'{"x": ' + b'"[\\' * 300_000,
        b'"' + b"\\[" * 300_000,
        b'"' + b'\\"[' * 300_000,
        b'"[' * 300_000,
        b'"[' * 300_001 + b"\\",
        b"[" * 900_000,
    ],
    ids=["escapes", "brackets", "quotes", "closed", "half an escape", "open"],
)
def test_what_is_no_json_is_looked_at_once(data: bytes) -> None:
    """Each of these would take minutes if what does not end were looked at again from each of its places."""
    assert failure(Form.JSON, data) in ("malformed_frame", "too_many_parts")


@pytest.mark.parametrize("value", [[1, 2.5], {"a": [None, {"b": float("inf")}]}, [[], [float("nan")]]])
def test_a_flaw_is_found_between_plain_values(value: Any) -> None:
    padded = [0] * 1000 + [value] + ["x"] * 1000
    data = msgpack.packb(padded)
    flaw = find_msgpack_flaw(data, read_msgpack(data))
    assert (flaw is None) is (value == [1, 2.5])

"""Documents that are no requests: random, broken, deep, huge. Each is answered with a 4xx."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.documents import VALID_BODIES, answered, json_values, msgpack_values, raw_json, refused
from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID

HEADERS = {"Client-ID": UNKNOWN_ID, "X-Project-ID": "hostile", "X-Auth-Token": "t"}

# The client is connected once for all examples: that it goes on is part of what is tested.
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def request(action: Any, body: Any, headers: Any = HEADERS) -> dict[str, Any]:
    return {"action": action, "headers": headers, "body": body}


@many
@given(text=st.text(max_size=200))
def test_random_text(innocent: Client, text: str) -> None:
    innocent.send_raw(text)
    refused(innocent.receive_reply())


@many
@given(data=st.binary(max_size=200))
def test_random_bytes(innocent: Client, data: bytes) -> None:
    innocent.send_raw(data)
    refused(innocent.receive_reply())


@many
@given(document=json_values)
def test_random_json(innocent: Client, document: Any) -> None:
    innocent.send_raw(json.dumps(document))
    refused(innocent.receive_reply())


@many
@given(document=msgpack_values)
def test_random_messagepack(innocent: Client, document: Any) -> None:
    innocent.send_raw(msgpack.packb(document))
    refused(innocent.receive_reply())


@many
@given(action=st.sampled_from(sorted(VALID_BODIES)) | json_values, headers=json_values, body=json_values)
def test_random_parts_of_a_request(innocent: Client, action: Any, headers: Any, body: Any) -> None:
    innocent.send_raw(json.dumps(request(action, body, headers)))
    refused(innocent.receive_reply())


@pytest.mark.parametrize("action", sorted(VALID_BODIES))
def test_every_beginning_of_a_messagepack_request(innocent: Client, action: str) -> None:
    frame = msgpack.packb(request(action, VALID_BODIES[action]))
    for length in range(len(frame)):
        innocent.send_raw(frame[:length])
    for _ in range(len(frame)):
        refused(innocent.receive_reply())
    innocent.send_raw(frame + b"\xc0")  # more than one document
    refused(innocent.receive_reply())


@pytest.mark.parametrize("action", sorted(VALID_BODIES))
def test_every_beginning_of_a_json_request(innocent: Client, action: str) -> None:
    frame = json.dumps(request(action, VALID_BODIES[action]))
    for length in range(len(frame)):
        innocent.send_raw(frame[:length])
    for _ in range(len(frame)):
        refused(innocent.receive_reply())
    innocent.send_raw(frame + "{}")
    refused(innocent.receive_reply())


@many
@given(data=st.data())
def test_requests_with_a_few_bytes_changed(innocent: Client, data: st.DataObject) -> None:
    action = data.draw(st.sampled_from(sorted(VALID_BODIES)))
    document = request(action, VALID_BODIES[action])
    binary = data.draw(st.booleans())
    frame = bytearray(msgpack.packb(document) if binary else json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255 if binary else 127))
    innocent.send_raw(bytes(frame) if binary else frame.decode())
    answered(innocent.receive_reply())


DEPTHS = [50, 101, 600, 1_100, 100_000]


def nested(depth: int, how: str) -> str:
    begin, end = {"list": ("[", "]"), "object": ('{"a":', "}"), "both": ('[{"a":', "}]")}[how]
    return begin * depth + "1" + end * depth


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("how", ["list", "object", "both"])
def test_deep_json(innocent: Client, depth: int, how: str) -> None:
    value, headers = nested(depth, how), json.dumps(HEADERS)
    for document in (
        value,
        raw_json(action=value),
        raw_json(action='"queue_list"', headers=value),
        raw_json(action='"queue_get"', headers=headers, body=value),
    ):
        innocent.send_raw(document)
        refused(innocent.receive_reply())
    innocent.send_raw(raw_json(action='"ping_node"', headers=headers, further=value))
    answered(innocent.receive_reply())
    step = raw_json(op='"add"', path='"/metadata/a"', value=value)
    for action, fields in (
        ("message_post", {"messages": f"[{raw_json(body=value)}]"}),
        ("queue_create", {"metadata": raw_json(a=value)}),
        ("queue_create", {"metadata": raw_json(_retry_policy=value)}),
        ("subscription_create", {"subscriber": '"http://a/"', "options": raw_json(a=value)}),
        ("queue_update", {"patch": f"[{step}]"}),
        ("queue_get", {"queue_name": value}),
    ):
        body = raw_json(**{"queue_name": '"deep"', **fields})
        innocent.send_raw(raw_json(action=f'"{action}"', headers=headers, body=body))
        (answered if depth == 50 else refused)(innocent.receive_reply())


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("begin", [b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdf\x00\x00\x00\x01\xa1a"])
def test_deep_messagepack(innocent: Client, depth: int, begin: bytes) -> None:
    value = begin * depth + b"\x01"
    head = msgpack.packb(HEADERS)
    for document in (value, b"\x81\xa6action" + value, b"\x82\xa6action\xaaqueue_list\xa7headers" + value):
        innocent.send_raw(document)
        refused(innocent.receive_reply())
    post = (
        b"\x83\xa6action\xacmessage_post\xa7headers"
        + head
        + b"\xa4body\x82\xaaqueue_name\xa4deep\xa8messages"
    )
    innocent.send_raw(post + b"\x91\x81\xa4body" + value)
    (answered if depth == 50 else refused)(innocent.receive_reply())
    innocent.send_raw(post + value)
    refused(innocent.receive_reply())


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffx",
        b"\xc6\xff\xff\xff\xffx",
        b"\xc9\xff\xff\xff\xff\x01x",
        b"\xc1",
        b"\x81\xa6action\xc1",
        b"\x81\xa6action\xd4\x01x",
        b"\x81\xa6action\xd6\xff\x00\x00\x00\x00",
        b"\x81\xa6action\xc7\x0c\xff" + b"\xff" * 12,
        b"\x81\xc0\xc0",
        b"\x81\x01\x01",
        b"\x81\x90\x01",
        b"\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01",
        b"\x81\xa6action\xa2\xff\xfe",
        b"\x81\xc4\x06action\xa9ping_node",
        b"\x82\xa6action\xa9ping_node\xa6action\xa9ping_node",
    ],
    ids=lambda data: data[:12].hex(),
)
def test_odd_messagepack(innocent: Client, data: bytes) -> None:
    innocent.send_raw(data)
    refused(innocent.receive_reply())

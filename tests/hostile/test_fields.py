"""Wrong values in every field of every action: 400 where the schemas say so, never a 5xx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas
from tests.hostile.documents import (
    VALID_BODIES,
    answered,
    json_values,
    msgpack_values,
    places,
    raw_json,
    refused,
    with_value,
)
from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID

HEADERS = {"Client-ID": UNKNOWN_ID, "X-Project-ID": "fields", "X-Auth-Token": "t"}

FOLDER = Path(schemas.__file__).parent / "json"
VALIDATORS = {
    action: jsonschema_rs.validator_for((FOLDER / f"{action}.request.json").read_text())
    for action in VALID_BODIES
}

PLACES = [(action, path) for action, body in VALID_BODIES.items() for path in places(body)]
"""Every field of every action, and each body as a whole."""

WRONG: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 0.5, -0.0, 1e300, 2**31, 2**53, 2**63, 2**64 - 1),
    *("", "x", "1", "\x00", "\ud7ff\ue000\U0010ffff", "../..", "x" * 10_000, "'; DROP TABLE queues; --"),
    *([], [[]], [None], {}, {"": ""}, {"$binary": "eA=="}, {"$ref": "#"}, {"__proto__": {}}),
]

# The client is connected once for all examples: that it goes on is part of what is tested.
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def send(client: Client, action: Any, body: Any, *, binary: bool, headers: Any = HEADERS) -> None:
    document = {"action": action, "headers": headers, "body": body}
    client.send_raw(msgpack.packb(document) if binary else json.dumps(document))


def check(client: Client, action: str, body: Any) -> None:
    """The next reply is right for this body."""
    reply = client.receive_reply()
    answered(reply)
    if not VALIDATORS[action].is_valid(body):
        assert reply.status == 400, (action, body, reply.body)


@pytest.mark.parametrize("action", VALID_BODIES)
@pytest.mark.parametrize("binary", [False, True])
def test_the_bodies_that_the_others_begin_with_are_good(innocent: Client, action: str, binary: bool) -> None:
    assert VALIDATORS[action].is_valid(VALID_BODIES[action])
    send(innocent, action, VALID_BODIES[action], binary=binary)
    reply = innocent.receive_reply()
    assert reply.status < 500
    assert reply.body != "Schema validation failed."


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("action", "path"), PLACES, ids=lambda part: str(part).replace("'", ""))
def test_each_field_with_each_wrong_value(innocent: Client, action: str, path: Any, binary: bool) -> None:
    tried = [with_value(VALID_BODIES[action], path, value) for value in WRONG]
    for body in tried:
        send(innocent, action, body, binary=binary)
    for body in tried:
        check(innocent, action, body)


@many
@given(place=st.sampled_from(PLACES), value=json_values)
def test_each_field_with_random_json(innocent: Client, place: tuple[str, Any], value: Any) -> None:
    action, path = place
    body = with_value(VALID_BODIES[action], path, value)
    send(innocent, action, body, binary=False)
    reply = innocent.receive_reply()
    answered(reply)
    # Where a number is too large for both forms it is refused for that, whatever its field.
    if not VALIDATORS[action].is_valid(body):
        assert reply.status == 400, (action, body, reply.body)


@many
@given(place=st.sampled_from(PLACES), value=msgpack_values)
def test_each_field_with_random_messagepack(innocent: Client, place: tuple[str, Any], value: Any) -> None:
    action, path = place
    send(innocent, action, with_value(VALID_BODIES[action], path, value), binary=True)
    answered(innocent.receive_reply())


@many
@given(
    action=st.sampled_from(sorted(VALID_BODIES)),
    name=st.sampled_from([*HEADERS, "User-Agent", "Date", "Accept", "URL-Signature", "URL-Paths"]),
    value=json_values,
)
def test_each_header_with_random_json(innocent: Client, action: str, name: str, value: Any) -> None:
    send(innocent, action, VALID_BODIES[action], binary=False, headers={**HEADERS, name: value})
    reply = innocent.receive_reply()
    answered(reply)
    if not isinstance(value, str) and not name.startswith("URL-"):
        refused(reply)


NUMBERS = ["9" * 19, "9" * 20, "9" * 40, "9" * 5_000, "-" + "9" * 5_000, "9" * 200_000]
NUMBERS += ["1e400", "-1e400", "1e-400", "1E+2", "60.0", "6e1", "-0", "0.1e1", "1" + "0" * 400 + ".5"]

INTEGERS = [
    (action, path)
    for action, path in PLACES
    if path and path[-1] in ("ttl", "delay", "grace", "limit", "weight", "_default_message_ttl")
]


@pytest.mark.parametrize(("action", "path"), INTEGERS, ids=lambda part: str(part).replace("'", ""))
def test_huge_and_odd_numbers(innocent: Client, action: str, path: Any) -> None:
    for number in NUMBERS:
        document = {"action": action, "headers": HEADERS, "body": with_value(VALID_BODIES[action], path, "?")}
        innocent.send_raw(json.dumps(document).replace('"?"', number))
        # The reply repeats the number as it was sent, and Python reads none of over 4,300 digits.
        reply = json.loads(innocent.socket.recv(timeout=30), parse_int=lambda digits: int(digits[:19]))
        accepted = number == "-0" and path[-1] == "delay"
        assert reply["headers"]["status"] == 201 if accepted else 400 <= reply["headers"]["status"] < 500


def posting(body: str) -> str:
    """A message_post whose message has this body, which need not be JSON."""
    messages = raw_json(queue_name='"q"', messages=f"[{raw_json(body=body)}]")
    return raw_json(action='"message_post"', headers=json.dumps(HEADERS), body=messages)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "'x'", "1,", "/**/1"]
)
def test_what_json_does_not_have(innocent: Client, text: str) -> None:
    further = raw_json(action='"ping_node"', headers=json.dumps(HEADERS), body="{}", further=text)
    for frame in (text, posting(text), further):
        innocent.send_raw(frame)
        refused(innocent.receive_reply())


@pytest.mark.parametrize("value", ['"\\ud800"', '["\\udc00\\ud800"]', '{"\\ud800": 1}', '{"a": "\\ud83d"}'])
def test_half_surrogate_pairs(innocent: Client, value: str) -> None:
    for frame in (posting(value), raw_json(action=value, headers="{}", body="{}")):
        innocent.send_raw(frame)
        refused(innocent.receive_reply())

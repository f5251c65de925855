"""Frames in and out."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.body import Body
from protocol.codec import Form
from protocol.envelope import Incoming, notification, read, reply
from protocol.errors import BadRequest, MalformedFrame, RequestError, SchemaViolation, UnknownAction
from protocol.registry import ACTIONS, PLAIN_ACTIONS
from tests.protocol.strategies import as_json, as_msgpack, odd_json_values, odd_values

HEADERS = {"Client-ID": "11111111-1111-4111-8111-111111111111", "X-Project-ID": "p"}
NOTHING: dict[str, Any] = {"action": None, "body": {}, "headers": {}, "api": "v2"}


def encoded(value: Any, form: Form) -> bytes:
    return as_json(value) if form is Form.JSON else as_msgpack(value)


def decoded(frame: bytes, form: Form) -> Any:
    return json.loads(frame) if form is Form.JSON else msgpack.unpackb(frame)


def failed(frame: bytes, form: Form, kind: type[RequestError]) -> tuple[str, Any]:
    """The text of the failure and the echo of a frame that is refused."""
    incoming = read(frame, form)
    assert type(incoming.failure) is kind
    answer = decoded(reply(incoming, 400, incoming.failure.body()), form)
    assert answer["headers"] == {"status": 400}
    return str(incoming.failure), answer["request"]


@pytest.mark.parametrize("form", Form)
def test_a_request_and_its_reply(form: Form) -> None:
    request = {
        "action": "message_list",
        "headers": {**HEADERS, "X-Whatever": 5, "Accept": "x"},
        "body": {"queue_name": "q", "limit": 5, "unknown": [1]},
        "api": "v1.1",
        "extra": {"a": 1},
    }
    incoming = read(encoded(request, form), form)
    assert incoming.failure is None
    assert incoming.action is ACTIONS["message_list"]
    assert incoming.headers is not None
    assert incoming.headers.project_id == "p"
    assert incoming.body.queue_name == "q"
    assert incoming.body.limit == 5
    answer = decoded(reply(incoming, 200, {"messages": []}), form)
    assert list(answer) == ["request", "body", "headers"]
    assert answer == {
        "request": {
            "action": "message_list",
            "body": request["body"],
            "headers": request["headers"],
            "api": "v2",
        },
        "body": {"messages": []},
        "headers": {"status": 200},
    }


def test_a_reply_may_be_a_string() -> None:
    assert (
        decoded(reply(Incoming(Form.JSON), 201, "Queue q created."), Form.JSON)["body"] == "Queue q created."
    )


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (
            b"{",
            "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (b"", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (b'{"a":1}{"b":2}', "JSONDecodeError: Extra data: line 1 column 8 (char 7)"),
        ('\ufeff{"a":1}'.encode(), "JSONDecodeError: Unexpected UTF-8 BOM (decode using utf-8-sig)"),
        (b"NaN", "ValueError: NaN is not a JSON value"),
        (b'{"body": -Infinity}', "ValueError: -Infinity is not a JSON value"),
        (b'{"a": "\xff"}', "UnicodeDecodeError: "),
        (b"[" * 20_000, "RecursionError: "),
    ],
)
def test_text_frames_that_are_not_json(frame: bytes, text: str) -> None:
    told, echo = failed(frame, Form.JSON, MalformedFrame)
    assert told.startswith(f"Can't decode text (JSON) request. {text}")
    assert echo == NOTHING


@pytest.mark.parametrize(
    "data", ["c1", "", "81a6616374696f6e", "ffffff", "6e6f74", "81a1610101", "8101a161", "a1ff"]
)
def test_binary_frames_that_are_not_msgpack(data: str) -> None:
    told, echo = failed(bytes.fromhex(data), Form.MSGPACK, MalformedFrame)
    assert told.startswith("Can't decode binary (MessagePack) request. ")
    assert echo == NOTHING


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("value", [[], [1, 2], "str", 5, 1.5, True, None, [{"action": "queue_list"}]])
def test_frames_that_are_no_object(value: Any, form: Form) -> None:
    told, echo = failed(encoded(value, form), form, MalformedFrame)
    assert told == "Unexpected body type. Expected dict or dict like."
    assert echo == NOTHING


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    ("action", "shown"),
    [
        ("nope", "nope"),
        ("", ""),
        ("QUEUE_LIST", "QUEUE_LIST"),
        ("queue_list ", "queue_list "),
        (None, "None"),
        (5, "5"),
        (True, "True"),
        (1.5, "1.5"),
        (["queue_list"], "['queue_list']"),
        ({"a": 1}, "{'a': 1}"),
        ("__init__", "__init__"),
    ],
)
def test_deviation_10_an_action_of_any_type_is_answered(action: Any, shown: str, form: Form) -> None:
    told, echo = failed(
        encoded({"action": action, "headers": HEADERS, "body": {}}, form), form, UnknownAction
    )
    assert told == f"{shown} is not a valid action"
    assert echo == {"action": action, "headers": HEADERS, "body": {}, "api": "v2"}


def test_a_missing_action() -> None:
    told, echo = failed(b'{"body": {"a": 1}}', Form.JSON, UnknownAction)
    assert told == "None is not a valid action"
    assert echo == {"action": None, "headers": {}, "body": {"a": 1}, "api": "v2"}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("depth", [390, 410, 900, 20_000, 100_000])
def test_deviation_10_any_depth_is_answered(form: Form, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth if form is Form.JSON else b"\x91" * depth + b"\xc0"
    mark = as_json("deep") if form is Form.JSON else as_msgpack("deep")
    for document in ({"action": "deep"}, {"action": "queue_list", "headers": "deep", "body": "deep"}):
        incoming = read(encoded(document, form).replace(mark, deep), form)
        if depth < 400:
            assert type(incoming.failure) in (UnknownAction, SchemaViolation)
        else:
            assert isinstance(incoming.failure, MalformedFrame)
        assert incoming.failure is not None
        reply(incoming, 400, incoming.failure.body())


@pytest.mark.parametrize("headers", [None, [], "x", 5, {}, {"Client-ID": "c"}, {"X-Project-ID": "p"}])
@pytest.mark.parametrize("form", Form)
def test_headers_have_to_be_there(headers: Any, form: Form) -> None:
    frame = encoded({"action": "queue_list", "headers": headers}, form)
    told, echo = failed(frame, form, SchemaViolation)
    assert told.startswith("headers: ")
    # What is no object is not echoed: it could hold a secret anywhere.
    assert echo["headers"] == (headers if isinstance(headers, dict) else {})


@pytest.mark.parametrize(
    "changed",
    [
        {"Client-ID": 5},
        {"X-Project-ID": 5},
        {"X-Project-ID": None},
        {"User-Agent": 5},
        {"Date": None},
        {"Accept": []},
        {"X-Auth-Token": 5},
    ],
)
def test_headers_have_types(changed: dict[str, Any]) -> None:
    failed(as_json({"action": "queue_list", "headers": {**HEADERS, **changed}}), Form.JSON, SchemaViolation)


def test_signed_url_headers_may_have_any_type() -> None:
    values: list[Any] = [None, 5, [], "x", {}]
    for value in values:
        headers = {**HEADERS, "URL-Signature": value, "URL-Methods": value, "URL-Expires": value}
        incoming = read(as_json({"action": "queue_list", "headers": headers}), Form.JSON)
        assert incoming.failure is None
        assert incoming.headers is not None
        assert incoming.headers.url_methods == value


def test_headers_of_authenticate() -> None:
    full = {"X-Project-ID": "p", "X-Auth-Token": "secret"}
    incoming = read(as_json({"action": "authenticate", "headers": full}), Form.JSON)
    assert incoming.failure is None
    assert incoming.headers is not None
    assert incoming.headers.auth_token == "secret"
    for missing in full:
        headers = {name: value for name, value in full.items() if name != missing}
        failed(as_json({"action": "authenticate", "headers": headers}), Form.JSON, SchemaViolation)


def test_no_headers() -> None:
    told, echo = failed(b'{"action": "queue_list", "body": {}}', Form.JSON, SchemaViolation)
    assert told == "headers: missing"
    assert echo == {"action": "queue_list", "headers": {}, "body": {}, "api": "v2"}


@pytest.mark.parametrize("name", PLAIN_ACTIONS)
@pytest.mark.parametrize("form", Form)
def test_bodies_that_may_be_left_out(name: str, form: Form) -> None:
    headers = {**HEADERS, "X-Auth-Token": "t"}
    incoming = read(encoded({"action": name, "headers": headers}, form), form)
    if ACTIONS[name].body_required:
        assert str(incoming.failure) == "body: missing"
    else:
        assert incoming.failure is None
        assert incoming.body == ACTIONS[name].request()
    echo = decoded(reply(incoming, 200, {}), form)["request"]
    assert echo == {"action": name, "headers": HEADERS, "body": {}, "api": "v2"}


@pytest.mark.parametrize("name", PLAIN_ACTIONS)
@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_bodies_are_objects(name: str, body: Any) -> None:
    headers = {**HEADERS, "X-Auth-Token": "t"}
    told, _ = failed(as_json({"action": name, "headers": headers, "body": body}), Form.JSON, SchemaViolation)
    assert told.startswith("body: ")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("queue_create", {"queue_name": 5}),
        ("queue_create", {}),
        ("queue_list", {"limit": 1.0}),
        ("queue_list", {"limit": True}),
        ("queue_list", {"limit": "1"}),
        ("queue_list", {"limit": None}),
        ("queue_list", {"detailed": 1}),
        ("queue_list", {"marker": 5}),
        ("queue_update", {"queue_name": "q", "patch": [{"op": "move", "path": "/metadata/a"}]}),
        ("message_post", {"queue_name": "q", "messages": {}}),
        ("message_post", {"queue_name": "q"}),
        ("message_get_many", {"queue_name": "q", "message_ids": [5]}),
        ("subscription_create", {"queue_name": "q", "options": None}),
        ("subscription_create", {"queue_name": "q", "options": []}),
        ("subscription_create", {"queue_name": "q", "subscriber": None}),
        ("subscription_list", {"queue_name": "q", "limit": "5"}),
    ],
)
@pytest.mark.parametrize("form", Form)
def test_fields_have_types(action: str, body: dict[str, Any], form: Form) -> None:
    frame = encoded({"action": action, "headers": HEADERS, "body": body}, form)
    incoming = read(frame, form)
    assert isinstance(incoming.failure, SchemaViolation)
    assert incoming.action is ACTIONS[action]
    assert incoming.failure.body()["error"] == "Schema validation failed."


@pytest.mark.parametrize("metadata", [None, {}, [], "str", 5])
def test_metadata_passes_the_schema(metadata: Any) -> None:
    frame = {"action": "queue_create", "headers": HEADERS, "body": {"queue_name": "q", "metadata": metadata}}
    assert read(as_json(frame), Form.JSON).failure is None


def test_of_a_repeated_key_the_last_counts() -> None:
    frame = (
        b'{"action":5,"action":"queue_list","headers":null,"headers":{"Client-ID":5,"Client-ID":"c",'
        b'"X-Project-ID":"p"},"body":{"limit":"x","limit":7}}'
    )
    incoming = read(frame, Form.JSON)
    assert incoming.failure is None
    assert incoming.body.limit == 7
    assert decoded(reply(incoming, 200, {}), Form.JSON)["request"] == {
        "action": "queue_list",
        "headers": {"Client-ID": "c", "X-Project-ID": "p"},
        "body": {"limit": 7},
        "api": "v2",
    }
    frame = frame.replace(b',"body":{"limit":"x","limit":7}', b"")
    assert read(frame, Form.JSON).body == ACTIONS["queue_list"].request()


def test_half_surrogate_pairs_are_refused_and_echoed() -> None:
    frame = b'{"action":"queue_list","headers":{"Client-ID":"c","X-Project-ID":"p"},"body":{"a":"\\ud800"}}'
    told, echo = failed(frame, Form.JSON, BadRequest)
    assert "surrogate" in told
    assert echo["body"] == {"a": "\ud800"}
    told, echo = failed(b'{"action":"\\ud800"}', Form.JSON, UnknownAction)
    assert told == "\\ud800 is not a valid action"
    assert echo["action"] == "\ud800"


@pytest.mark.parametrize(
    ("limit", "reason"), [(b"1e999", "finite"), (b"9" * 5000, "64 bits"), (b"-1e999", "finite")]
)
def test_numbers_that_cannot_be_kept_are_refused_and_echoed(limit: bytes, reason: str) -> None:
    frame = (
        b'{"action":"queue_list","headers":{"Client-ID":"c","X-Project-ID":"p"},"body":{"limit":%s}}' % limit
    )
    told, echo = failed(frame, Form.JSON, BadRequest)
    assert reason in told
    assert echo["body"] == {"limit": limit.decode()}


@pytest.mark.parametrize("form", Form)
def test_deviation_5_secrets_are_not_echoed_by_either_way(form: Form) -> None:
    headers = {**HEADERS, "X-Auth-Token": "sesame", "url-SIGNATURE": "sesame"}
    for action, body in (("queue_list", {}), ("queue_list", {"limit": "x"}), ("nope", {})):
        incoming = read(encoded({"action": action, "headers": headers, "body": body}, form), form)
        frame = reply(incoming, 200, {})
        assert b"sesame" not in frame
        assert decoded(frame, form)["request"]["headers"] == HEADERS
        assert "sesame" not in repr(incoming)


def test_binary_keys_are_no_fields() -> None:
    frame = as_msgpack({b"action": b"queue_list", b"headers": {}})
    told, echo = failed(frame, Form.MSGPACK, UnknownAction)
    assert told == "None is not a valid action"
    assert echo == NOTHING
    told, _ = failed(as_msgpack({"action": b"queue_list"}), Form.MSGPACK, UnknownAction)
    assert told == "b'queue_list' is not a valid action"


@pytest.mark.parametrize("form", Form)
@given(frame=st.binary(max_size=60))
def test_random_bytes_are_answered(form: Form, frame: bytes) -> None:
    incoming = read(frame, form)
    assert incoming.failure is not None
    decoded(reply(incoming, 400, incoming.failure.body()), form)


@pytest.mark.parametrize("form", Form)
@given(data=st.data(), name=st.sampled_from(sorted(ACTIONS)), cut=st.integers(0, 40))
def test_odd_requests_are_answered(form: Form, data: st.DataObject, name: str, cut: int) -> None:
    anything = odd_json_values if form is Form.JSON else odd_values
    fields = st.sampled_from(["queue_name", "limit", "messages", "ttl", "options", "metadata", "marker"])
    document = {
        "action": data.draw(st.one_of(st.just(name), anything)),
        "headers": data.draw(st.one_of(st.just(HEADERS), anything)),
        "body": data.draw(st.one_of(st.dictionaries(fields, anything), anything)),
    }
    frame = encoded(document, form)
    for part in (frame, frame[: len(frame) - cut], frame[:cut] + frame[cut + 1 :]):
        incoming = read(part, form)
        body = incoming.failure.body() if incoming.failure is not None else {}
        decoded(reply(incoming, 400, body), form)


@pytest.mark.parametrize("form", Form)
def test_a_notification(form: Form) -> None:
    frame = notification("q", 60, Body(Form.JSON, b'{"a":1}'), form)
    assert list(decoded(frame, form).items()) == [
        ("ttl", 60),
        ("body", {"a": 1}),
        ("Message_Type", "Notification"),
        ("queue_name", "q"),
    ]


def test_a_notification_in_the_form_of_the_post_keeps_its_bytes() -> None:
    assert b'{"a" : 1}' in notification("q", 60, Body(Form.JSON, b'{"a" : 1}'), Form.JSON)

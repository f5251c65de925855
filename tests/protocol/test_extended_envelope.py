"""Request ids, and requests that are not repeated: what protocol.extension adds to the envelope."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from protocol.codec import Form
from protocol.envelope import read, reply
from schemas import limits
from tests.protocol.strategies import as_json, as_msgpack

HEADERS = {"Client-ID": "11111111-1111-4111-8111-111111111111", "X-Project-ID": "p"}


def answer(document: Any, form: Form, *, extended: bool = True) -> dict[str, Any]:
    """What a request is answered, with its failure if it has one and 200 if it has none."""
    frame = document if isinstance(document, bytes) else _encoded(document, form)
    incoming = read(frame, form, extended=extended)
    failure = incoming.failure
    data = reply(incoming, failure.status if failure else 200, failure.body() if failure else {})
    answered: dict[str, Any] = json.loads(data) if form is Form.JSON else msgpack.unpackb(data)
    return answered


def _encoded(document: Any, form: Form) -> bytes:
    return as_json(document) if form is Form.JSON else as_msgpack(document)


def listing(**more: Any) -> dict[str, Any]:
    return {"action": "queue_list", "headers": HEADERS, "body": {}, **more}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("name", ["", "a", "\u00e9" * 128, 0, -1, limits.SAFE_INTEGER])
def test_a_reply_has_the_id_of_its_request(name: str | int, form: Form) -> None:
    answered = answer(listing(id=name), form)
    assert answered["id"] == name
    assert answered["headers"] == {"status": 200}
    assert answered["request"]["action"] == "queue_list"


@pytest.mark.parametrize("form", Form)
def test_a_request_without_an_id_is_answered_without(form: Form) -> None:
    assert list(answer(listing(), form)) == ["request", "body", "headers"]


@pytest.mark.parametrize("form", Form)
def test_a_request_may_ask_for_no_echo(form: Form) -> None:
    assert list(answer(listing(id=1, echo=False), form)) == ["id", "body", "headers"]
    assert "request" in answer(listing(echo=True), form)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "nothing"},
        {"headers": {}},
        {"headers": None},
        {"body": {"limit": "x"}},
        {"body": []},
        {"action": None},
    ],
)
def test_refusals_have_the_id_too(wrong: dict[str, Any], form: Form) -> None:
    answered = answer({**listing(id="seven"), **wrong}, form)
    assert (answered["id"], answered["headers"]) == ("seven", {"status": 400})
    assert "request" not in answer({**listing(id="seven", echo=False), **wrong}, form)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    "name", [None, True, 1.5, [], {}, "x" * 129, limits.SAFE_INTEGER + 1, -(2**60)], ids=repr
)
def test_an_id_of_another_kind_is_refused(name: Any, form: Form) -> None:
    answered = answer(listing(id=name), form)
    assert answered["headers"] == {"status": 400}
    assert answered["body"]["code"] == "schema_violation"
    assert answered["body"]["detail"].startswith("id: ")
    assert "id" not in answered


def test_an_id_that_cannot_be_repeated_is_refused() -> None:
    answered = answer(as_json(listing(id="half")).replace(b"half", b"\\ud800"), Form.JSON)
    assert answered["headers"] == {"status": 400}
    assert "id" not in answered


@pytest.mark.parametrize("form", Form)
def test_echo_is_a_boolean(form: Form) -> None:
    answered = answer(listing(id=4, echo=0), form)
    assert answered["headers"] == {"status": 400}
    assert answered["body"]["detail"].startswith("echo: ")
    assert "request" in answered


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("name", ["a", 5, None, True, [1]])
def test_elsewhere_both_are_ignored(name: Any, form: Form) -> None:
    answered = answer(listing(id=name, echo=False), form, extended=False)
    assert list(answered) == ["request", "body", "headers"]
    assert answered["headers"] == {"status": 200}


@pytest.mark.parametrize("form", Form)
def test_actions_of_the_extension_are_not_found_elsewhere(form: Form) -> None:
    request = {**listing(), "action": "describe"}
    assert answer(request, form)["headers"] == {"status": 200}
    assert answer(request, form, extended=False)["body"]["error"] == "describe is not a valid action"

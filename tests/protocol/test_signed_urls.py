"""Signatures: Zaqar's own are taken, and what differs in anything from what was signed is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import BadRequest
from protocol.signed_urls import (
    ACTION_METHODS,
    SignedUrl,
    permitted_over_rest,
    permitted_until,
    sign,
    to_confirm,
    to_sign,
)
from schemas.envelope import RequestHeaders

KEY = b"a" * 40
NOW = 1_900_000_000.0
END = 2_051_222_400.0  # 2035-01-01T00:00:00
PATHS, METHODS, EXPIRES = ["/v2/queues/q/messages"], ["GET", "POST"], "2035-01-01T00:00:00"
SIGNATURE = "bb195ef46f6bd67c69f59b936d25510a69648d9e55b1bc596997211b8d5beed8"
"""Made by Zaqar 23.0.1 (zaqar.common.urls.create_signed_url) of these, with KEY, for the project p."""


def headers(**changes: Any) -> RequestHeaders:
    fields: dict[str, Any] = {
        "client_id": "c",
        "project_id": "p",
        "url_signature": SIGNATURE,
        "url_expires": EXPIRES,
        "url_methods": METHODS,
        "url_paths": PATHS,
        **changes,
    }
    return RequestHeaders(**{name: value for name, value in fields.items() if value is not ...})


def permitted(
    action: str = "message_list",
    queue_name: str = "q",
    keys: tuple[bytes, ...] = (KEY,),
    now: float = NOW,
    **changes: Any,
) -> float | None:
    return permitted_until(keys, headers(**changes), action, queue_name, now)


CONFIRM = "00660e1b-840c-853c-a687-98b07f700001"


def opened(action: str, paths: list[str], methods: list[str], **body: str) -> bool:
    """Whether a signature for these opens an action over REST."""
    signature = sign(KEY, SignedUrl(tuple(paths), tuple(methods), "p", EXPIRES))
    asked = SimpleNamespace(**{"queue_name": "q", "subscription_id": CONFIRM, **body})
    told = headers(url_signature=signature, url_paths=paths, url_methods=methods)
    return permitted_over_rest((KEY,), told, action, asked, NOW) is not None


def test_what_opens_what_over_rest() -> None:
    messages, claims, subscriptions = (
        f"/v2/queues/q/{what}" for what in ("messages", "claims", "subscriptions")
    )
    assert opened("message_post", [messages], ["POST"])
    assert opened("claim_create", [claims, messages], ["GET", "POST"])
    assert opened("claim_update", [claims], ["PATCH"])
    assert opened("subscription_list", [subscriptions], ["GET"])
    assert opened("subscription_confirm", [subscriptions], ["PUT"])
    assert not opened("claim_create", [messages, subscriptions], ["POST"])
    assert not opened("claim_create", [claims], ["PATCH"])
    assert not opened("claim_create", [claims], ["POST"], queue_name="other")
    assert not opened("queue_delete", [messages, claims, subscriptions], ["DELETE"])
    assert not opened("claim_subscribe", [claims], ["POST", "GET"])


def test_one_subscription_is_confirmed_and_nothing_else() -> None:
    url = to_confirm("q", CONFIRM, "p", END)
    assert url == SignedUrl((f"/v2/queues/q/subscriptions/{CONFIRM}/confirm",), ("PUT",), "p", EXPIRES)
    assert opened("subscription_confirm", [*url.paths], ["PUT"])
    other = CONFIRM.replace("1", "2")
    assert not opened("subscription_confirm", [*url.paths], ["PUT"], subscription_id=other)
    assert not opened("subscription_confirm", [*url.paths], ["GET", "POST", "PATCH"])
    for action in ("subscription_get", "subscription_update", "subscription_delete", "subscription_create"):
        assert not opened(action, [*url.paths], ["GET", "PUT", "PATCH", "DELETE", "POST"])


# --- making ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "url", "signature"),
    [
        (KEY, SignedUrl(tuple(PATHS), ("POST", "GET"), "p", EXPIRES), SIGNATURE),
        (
            b"0123456789abcdef",
            SignedUrl(
                tuple(f"/v2/queues/q.x-1/{what}" for what in ("subscriptions", "messages", "claims")),
                ("GET", "DELETE"),
                "Projekt ü:{x}",
                EXPIRES,
            ),
            "f18363db6adc81dd19987de9f94a16bf51c0aa10e9e86e759c98f62168c32d1a",
        ),
    ],
)
def test_signatures_are_zaqars(key: bytes, url: SignedUrl, signature: str) -> None:
    assert sign(key, url) == signature


def test_defaults() -> None:
    made = to_sign("q", (), (), "p", None, NOW)
    assert made == SignedUrl(("/v2/queues/q/messages",), ("GET",), "p", "2030-03-18T17:46:40")


def test_lists_are_sorted_and_hold_each_once() -> None:
    made = to_sign("q", ["subscriptions", "claims", "claims"], ["POST", "GET", "POST"], "p", EXPIRES, NOW)
    assert made.paths == ("/v2/queues/q/claims", "/v2/queues/q/subscriptions")
    assert made.methods == ("GET", "POST")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2035-01-01T00:00:00", "2035-01-01T00:00:00"),
        ("2035-01-01T00:00:00Z", "2035-01-01T00:00:00"),
        ("2035-01-01T00:00:00.999999", "2035-01-01T00:00:00"),
        ("2035-01-01T00:00:00+02:00", "2034-12-31T22:00:00"),
        ("2034-12-31T17:00:00-0700", "2035-01-01T00:00:00"),
        ("9999-12-31T23:59:59", "9999-12-31T23:59:59"),
    ],
)
def test_times(given: str, told: str) -> None:
    assert to_sign("q", (), (), "p", given, NOW).expires == told


@pytest.mark.parametrize(
    "expires",
    [
        *("", "x", "12345", "20350101", "2035-01-01", "2035-13-01T00:00:00", "2035-01-01T25:00:00"),
        *("2001-01-01T00:00:00", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"),
        *("2035-01-01T00:00:00\n", "٢٠٣٥-01-01T00:00:00", "2035-01-01 00:00:00"),
    ],
)
def test_bad_times_are_refused(expires: str) -> None:
    with pytest.raises(BadRequest, match=r"^expires "):
        to_sign("q", (), (), "p", expires, NOW)


@pytest.mark.parametrize("resources", [["queues"], ["messages", ""], ["messages/x"], ["Messages"]])
def test_bad_paths_are_refused(resources: list[str]) -> None:
    with pytest.raises(BadRequest, match=r"^paths "):
        to_sign("q", resources, (), "p", None, NOW)


@pytest.mark.parametrize(
    "methods", [["get"], [""], ["GET,POST"], ["GET\\n"], ["X" * 17], [chr(65 + n) for n in range(17)]]
)
def test_bad_methods_are_refused(methods: list[str]) -> None:
    with pytest.raises(BadRequest, match=r"^methods "):
        to_sign("q", (), methods, "p", None, NOW)


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [name for name, method in ACTION_METHODS.items() if method in METHODS])
def test_what_was_signed_is_permitted_until_it_expires(action: str) -> None:
    assert permitted(action) == END
    assert permitted(action, now=END - 0.001) == END
    assert permitted(action, now=END) is None


def test_lists_may_come_in_any_order() -> None:
    assert permitted(url_methods=["POST", "GET"]) == END


def test_any_key_is_accepted() -> None:
    other = b"b" * 40
    assert permitted(keys=(other, KEY)) == END
    assert permitted(keys=(other,)) is None
    assert permitted(keys=()) is None


@pytest.mark.parametrize(
    "action", ["message_delete", "message_delete_many", "claim_create", "queue_get", "authenticate", ""]
)
def test_actions_of_other_methods_are_not(action: str) -> None:
    assert permitted(action) is None


@pytest.mark.parametrize("name", ["Q", "q2", "", "q/messages", "../q", "q\n", "%71"])
def test_other_queues_are_not(name: str) -> None:
    assert permitted(queue_name=name) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"project_id": "p2"},
        {"project_id": "P"},
        {"project_id": "\ud800"},
        {"url_signature": SIGNATURE.upper()},
        {"url_signature": SIGNATURE[:-1]},
        {"url_signature": SIGNATURE + "0"},
        {"url_signature": "0" * 64},
        {"url_signature": ""},
        {"url_signature": "é" * 64},
        {"url_signature": 5},
        {"url_signature": None},
        {"url_signature": SIGNATURE.encode()},
        {"url_expires": "2036-01-01T00:00:00"},
        {"url_expires": "2035-01-01T00:00:00Z"},
        {"url_expires": "x"},
        {"url_expires": 2_051_222_400},
        {"url_expires": ...},
        {"url_methods": ["GET", "POST", "DELETE"]},
        {"url_methods": ["GET"]},
        {"url_methods": []},
        {"url_methods": "GET,POST"},
        {"url_methods": ["GET,POST"]},
        {"url_methods": ["GET", 5]},
        {"url_methods": {"GET": "POST"}},
        {"url_methods": ...},
        {"url_paths": ["/v2/queues/q/messages", "/v2/queues/r/messages"]},
        {"url_paths": "/v2/queues/q/messages"},
        {"url_paths": ["/v2/queues/q"]},
        {"url_paths": []},
        {"url_paths": [["/v2/queues/q/messages"]]},
        {"url_paths": PATHS * 17},
        {"url_paths": ...},
    ],
)
def test_anything_else_is_not(changes: dict[str, Any]) -> None:
    assert permitted(**changes) is None


def test_day_that_there_is_not() -> None:
    url = SignedUrl(tuple(PATHS), tuple(METHODS), "p", "2035-02-30T00:00:00")
    assert permitted(url_expires=url.expires, url_signature=sign(KEY, url)) is None


def test_signed_text_cannot_be_taken_apart_in_another_way() -> None:
    # What is signed for a project whose name holds separators reads like a grant for another one.
    project = r",/v2/queues/secret/messages\nGET\nvictim"
    url = to_sign("q", (), (), project, EXPIRES, NOW)
    signature = sign(KEY, url)
    forged: dict[str, Any] = {
        "url_signature": signature,
        "url_paths": [r"/v2/queues/q/messages\nGET\n", "/v2/queues/secret/messages"],
        "url_methods": ["GET"],
        "project_id": "victim",
    }
    assert sign(KEY, SignedUrl(tuple(forged["url_paths"]), ("GET",), "victim", EXPIRES)) == signature
    assert permitted(queue_name="secret", **forged) is None
    assert permitted(project_id=project, url_signature=signature, url_methods=["GET"]) == END


TEXT = st.text(st.sampled_from("/v2queuesmag,\\nGETPOS:-.0"), max_size=40)


@given(st.data())
def test_nothing_but_what_was_signed_passes(data: st.DataObject) -> None:
    signed = to_sign(
        data.draw(st.sampled_from(["q", "r"])),
        data.draw(st.lists(st.sampled_from(["messages", "claims"]))),
        data.draw(st.lists(st.sampled_from(["GET", "POST"]))),
        data.draw(TEXT),
        EXPIRES,
        NOW,
    )
    paths = data.draw(st.lists(st.one_of(st.sampled_from([*signed.paths, "/v2/queues/r/messages"]), TEXT)))
    methods = data.draw(st.lists(st.one_of(st.sampled_from(["GET", "POST", "DELETE"]), TEXT)))
    project = data.draw(st.one_of(st.just(signed.project), TEXT))
    found = permitted(
        data.draw(st.sampled_from(sorted(ACTION_METHODS))),
        data.draw(st.sampled_from(["q", "r"])),
        url_signature=sign(KEY, signed),
        url_paths=paths,
        url_methods=methods,
        project_id=project,
    )
    if found is not None:
        assert (tuple(sorted(paths)), tuple(sorted(methods)), project) == signed[:3]

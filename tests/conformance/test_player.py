"""The player finds what differs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.player import Matcher, Player, echo_difference, frame_of


@pytest.mark.parametrize(
    ("want", "got"),
    [
        (None, None),
        (True, True),
        (1, 1),
        ("text", "text"),
        ({}, {}),
        ({"a": 1}, {"a": 1, "further": 2}),
        ([1, {"a": None}], [1, {"a": None, "b": 3}]),
        ("<int>", 5),
        ("<int>", 0.5),
        ("<text>", ""),
        ("<time>", "2026-01-31T23:59:59Z"),
        ("Claim <id:1> updated.", "Claim 7f0e updated."),
        ({"$repeat": ["ab", 3]}, "ababab"),
    ],
)
def test_equal_values_match(want: Any, got: Any) -> None:
    assert Matcher().difference(want, got, "body") is None


@pytest.mark.parametrize(
    ("want", "got", "place"),
    [
        (None, False, "body:"),
        (1, True, "body:"),
        (1, 1.0, "body:"),
        ("1", 1, "body:"),
        ({"a": 1}, {}, "body: no ['a']"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "body.a.b:"),
        ({"a": 1}, [], "body: an object"),
        ([1], [1, 2], "body: 1 items"),
        ([1, 2], [1, 3], "body[1]:"),
        ([], {}, "body: 0 items"),
        ("<int>", "5", "body:"),
        ("<int>", True, "body:"),
        ("<text>", None, "body:"),
        ("<time>", "2026-01-31", "body:"),
        ("a.c", "abc", "body:"),
        ({"$repeat": ["ab", 3]}, "abab", "body:"),
    ],
)
def test_other_values_differ_at_their_place(want: Any, got: Any, place: str) -> None:
    difference = Matcher().difference(want, got, "body")
    assert difference is not None
    assert difference.startswith(place)


def test_an_identifier_is_learnt_once_and_then_the_same() -> None:
    matcher = Matcher()
    assert matcher.difference("/claims/<id:1>?page=<id:2>", "/claims/abc?page=def", "body") is None
    assert matcher.identifiers == {"<id:1>": "abc", "<id:2>": "def"}
    assert matcher.difference("<id:1>", "abc", "body") is None
    assert matcher.difference("<id:1>", "def", "body") == "body: '<id:1>' recorded, got 'def'"


def test_an_identifier_is_not_learnt_from_what_differs() -> None:
    matcher = Matcher()
    assert matcher.difference("Claim <id:1> updated.", "Claim abc deleted.", "body") is not None
    assert matcher.identifiers == {}


def test_requests_are_sent_with_what_was_learnt_and_projects_of_their_own() -> None:
    player = Player("ws://127.0.0.1:1/", run="r1")
    player.matcher.identifiers["<id:1>"] = "abc"
    sent = player.outgoing(
        {
            "headers": {"X-Project-ID": "proj-one"},
            "body": {"ids": ["<id:1>", "<id:2>"], "name": {"$repeat": ["a", 3]}, "X-Project-ID": 4},
        }
    )
    assert sent == {
        "headers": {"X-Project-ID": "proj-one-r1"},
        "body": {"ids": ["abc", "<id:2>"], "name": "aaa", "X-Project-ID": 4},
    }


def test_frames_are_of_the_kind_recorded() -> None:
    assert frame_of("text", {"a": 1}) == '{"a": 1}'
    assert frame_of("binary", {"a": 1}) == b"\x81\xa1a\x01"
    assert frame_of("text", "{not json") == "{not json"
    assert frame_of("binary", "{not msgpack") == b"{not msgpack"
    assert frame_of("binary", {"$hex": "c1ff"}) == b"\xc1\xff"
    assert frame_of("text", None) == "null"


def test_the_echo_is_compared_for_objects_only() -> None:
    request = {"action": "queue_list"}
    assert echo_difference(request, {"action": "queue_list", "api": "v2"}) is None
    assert echo_difference({"action": 5}, {"action": None, "api": "v2"}) is None
    assert echo_difference([], None) is None
    assert echo_difference(request, None) is not None
    assert echo_difference(request, {"action": "queue_list"}) is not None
    assert echo_difference(request, {"action": "queue_get", "api": "v2"}) is not None

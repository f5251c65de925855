"""Rights of tokens: patterns against a model of them, and what is not of their form."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.auth.rights import ON_QUEUES, Rights, UnfitRights, compiled, read_rights
from protocol.registry import ACTIONS


def matches(pattern: str, name: str) -> bool:
    """What a pattern means, said once more."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(matches(pattern[1:], name[i:]) for i in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and matches(pattern[1:], name[1:])


# Few characters, so that many match; and those that mean something to others.
patterns = st.text(st.sampled_from("aA.*?[]!-\n\\^$"), min_size=1, max_size=8)
names = st.text(st.sampled_from("aA.[]!-\n\\^$"), max_size=8)


@given(st.lists(patterns, min_size=1, max_size=3), names)
@example(["orders"], "orders\n")
@example(["[a]"], "a")
@example(["a*a"], "a")
@example(["*a*.", "x"], "a.\n.")
def test_a_pattern_matches_what_the_model_says(found: list[str], name: str) -> None:
    rights = read_rights({"queues": {pattern: ["queue_get"] for pattern in found}, "flavors": found})
    expected = any(matches(pattern, name) for pattern in found)
    assert rights.permits("queue_get", name) is expected
    assert rights.permits_flavor(name) is expected
    assert not rights.permits("queue_delete", name)


def test_case_counts() -> None:
    rights = read_rights({"queues": {"Orders.*": ["queue_get"]}})
    assert rights.permits("queue_get", "Orders.eu")
    assert not rights.permits("queue_get", "orders.eu")
    assert not read_rights({"queues": {"*": ["Queue_get"]}}).permits("queue_get", "q")


def test_no_pattern_takes_long() -> None:
    # Without atomic groups this takes longer than the universe has.
    pattern, name = "*a" * 40 + "*b", "a" * 1_000_000
    assert compiled((pattern,)).fullmatch(name) is None


@given(st.dictionaries(patterns, st.lists(st.sampled_from(sorted(ON_QUEUES)), max_size=3), max_size=4), names)
def test_each_action_has_its_own_patterns(queues: dict[str, list[str]], name: str) -> None:
    rights = read_rights({"queues": queues})
    for action in ACTIONS:
        expected = any(action in actions and matches(pattern, name) for pattern, actions in queues.items())
        assert rights.permits(action, name) is expected


def test_actions_may_be_patterns() -> None:
    rights = read_rights({"queues": {"q": ["message_*", "queue_get"]}, "actions": ["pool_*"]})
    assert {name for name in ACTIONS if rights.permits(name, "q")} == {
        "queue_get",
        *(name for name in ACTIONS if name.startswith("message_")),
    }
    assert rights.actions == {name for name in ACTIONS if name.startswith("pool_")}


def test_nothing_named_nothing_permitted() -> None:
    rights = read_rights({})
    assert not any(rights.permits(name, queue) for name in ACTIONS for queue in ("", "q", "*"))
    assert not rights.permits_flavor("")
    assert not rights.actions


def test_what_is_not_known_permits_nothing() -> None:
    rights = read_rights({"queues": {"*": ["message_burn", "pool_create"]}, "actions": ["queue_get", "fly"]})
    assert not any(rights.permits(name, "q") for name in ACTIONS)
    assert not rights.actions


@pytest.mark.parametrize(
    "claim",
    [
        None,
        "*",
        [],
        1,
        {"queue": {}},
        {"queues": {}, "more": 1},
        {"queues": ["q"]},
        {"queues": None},
        {"queues": {"q": "queue_get"}},
        {"queues": {"q": None}},
        {"queues": {"q": {"queue_get": True}}},
        {"queues": {"q": [1]}},
        {"queues": {"": ["queue_get"]}},
        {"queues": {"q" * 129: ["queue_get"]}},
        {"queues": {f"q{i}": ["queue_get"] for i in range(101)}},
        {"queues": {"q": ["queue_get"] * 101}},
        {"flavors": "ssd"},
        {"flavors": [""]},
        {"actions": {"pool_get": 1}},
        {"actions": [None]},
    ],
)
def test_another_form(claim: Any) -> None:
    with pytest.raises(UnfitRights):
        read_rights(claim)


def test_rights_are_the_same_if_they_say_the_same() -> None:
    claim = {"queues": {"a*": ["queue_get"], "b": ["queue_get", "queue_list"]}, "flavors": ["x"]}
    assert read_rights(claim) == read_rights(dict(reversed(claim.items())))
    assert read_rights(claim) != read_rights({**claim, "flavors": []})
    assert isinstance(read_rights(claim), Rights)
    assert isinstance(read_rights(claim).flavors, re.Pattern)

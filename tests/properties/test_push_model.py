"""Sockets on a real store against a plain model: nothing lost, doubled, out of order, and gaps exact.

Each mutant below is the store or the hub with one thing changed, for one test; the machine finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.push.feed import Feed
from tests.properties import push_machine
from tests.properties.playing import find, plant, play
from tests.properties.push_machine import PushMachine
from tests.support.hub import Node
from tests.support.reactor import run
from tests.support.servers import Server


@pytest.fixture
def node(valkey: Server, tmp_path: Path) -> Iterator[Node]:
    """A hub on a real store."""
    node = Node(valkey, tmp_path)
    run(node.start)
    yield node
    run(node.stop)


@pytest.mark.timeout(900)
def test_every_socket_gets_what_the_model_says(node: Node) -> None:
    play(partial(PushMachine, node), max_examples=60, stateful_step_count=60)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_socket_gets_what_the_model_says_at_length(node: Node) -> None:
    play(partial(PushMachine, node), max_examples=1000, stateful_step_count=100)


def found(node: Node) -> None:
    """The machine finds what was planted."""
    find(partial(PushMachine, node), max_examples=300, stateful_step_count=40)


MUTANTS = {
    "a purge that nobody remembers": ('position, "purged")', '0, "purged")'),
    "the lowest position that is gone": ('"GT", position, reason)', '"LT", position, reason)'),
    "a message is lost that was never visible": (
        "delayed[#delayed + 1] = others[i]",
        "delayed[#delayed + 1] = others[i]\n        position = math.max(position, unpack_number(others[i]))",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_machine_finds_what_is_planted_in_the_store(
    mutant: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, *MUTANTS[mutant])
    found(node)


def test_the_machine_finds_a_feed_that_forgets_who_resumes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Feed.add

    def add_as_if_live(feed: Feed, subscriber: Any) -> bool:
        subscriber.position = max(subscriber.position, feed.tail.position)
        return add(feed, subscriber)

    monkeypatch.setattr(Feed, "add", add_as_if_live)
    monkeypatch.setattr(push_machine, "PATIENCE", 1.0)
    found(node)

"""Deliveries to subscribers that are not sockets, on a real store, against a plain model.

That the machine finds what it is for is shown by mutation, as in test_store_model.py.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.properties.conftest import Connections
from tests.properties.deliveries_machine import DeliveriesMachine
from tests.properties.playing import find, plant, play


@pytest.mark.timeout(900)
@pytest.mark.parametrize("store_server", ["valkey"], indirect=True)
def test_deliveries_are_as_the_model_says(connections: Connections) -> None:
    play(partial(DeliveriesMachine, *connections), max_examples=60, stateful_step_count=200)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_deliveries_are_as_the_model_says_at_length(connections: Connections) -> None:
    play(partial(DeliveriesMachine, *connections), max_examples=1000, stateful_step_count=400)


MUTANTS = {
    "an owner that was replaced": ('call("HGET", HEAD, "owner") == ARGV[2] .. timeline()', "true"),
    "an owner on a server that took over": (
        'call("HGET", HEAD, "owner") == ARGV[2] .. timeline()',
        'string.sub(call("HGET", HEAD, "owner") or "", 1, 8) == ARGV[2]',
    ),
    "a place that goes back": (
        "if position <= delivery.position then",
        "if position == delivery.position then",
    ),
    "tries that another subscriber inherits": (
        "if was ~= becomes then\n    delivery.attempts, delivery.due = 0, 0",
        "if false then\n    delivery.attempts, delivery.due = 0, 0",
    ),
    "one that confirms and gets what was before": (
        'if ARGV[7] == "1" then\n    advance(delivery, visible)',
        "if false then\n    advance(delivery, visible)",
    ),
    "a gap that is counted again": (
        "if gone > math.max(after, delivery.counted) then",
        "if gone > after then",
    ),
    "a place that stays when its subscription goes": ("if forget_delivery(sequence) then", "if false then"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("store_server", ["valkey"], indirect=True)
def test_the_machine_finds_what_is_planted(
    mutant: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, *MUTANTS[mutant])
    find(partial(DeliveriesMachine, *connections), max_examples=500, stateful_step_count=100)

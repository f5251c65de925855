"""Messages, claims, delays, expiry, dead letters and time on a real store, against a plain model.

That the machine finds what it is for is shown by mutation: each mutant below is the store with one line of
its Lua changed, in memory and for one test. What the machine says of them, shrunk by hypothesis:

a double claim: a claim that leaves its messages at the head
    post(a message); two_at_once(claim, claim, limit 1)
    "('claim', 'claim') answered [...], which neither order can": both were given the same message.
an update that is lost: the claim's end does not move
    post(a message); claim(ttl 2 s); update(ttl 1 s); wait_until_something_ends(); look_at_everything()
    The store lists the message as held by the claim, the model as free.
a lost delayed message: of the delays that end together, only the first message shows up
    post(two messages, delay 1 s); wait(1 s); look_at_everything()
    The model lists two messages, the store one.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.properties.conftest import Connections
from tests.properties.machine import StoreMachine
from tests.properties.playing import find, plant, play


# A failure takes minutes to be shrunk, and is not worth much before.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("store_server", ["valkey"], indirect=True)
def test_the_store_does_as_the_model_says(connections: Connections) -> None:
    play(partial(StoreMachine, *connections), max_examples=100, stateful_step_count=200)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_store_does_as_the_model_says_at_length(connections: Connections) -> None:
    play(partial(StoreMachine, *connections), max_examples=1000, stateful_step_count=400)


MUTANTS = {
    "a double claim": (
        'taken[#taken + 1] = sequence\n        call("ZREM", FREE, sequence)',
        'taken[#taken + 1] = sequence\n        if limit > 1 then call("ZREM", FREE, sequence) end',
    ),
    "an update that is lost": (
        "begin(claim, ttl, grace, consumer_of(claim))",
        "",
    ),
    "more than the credit": ("credit - holds", "credit"),
    "a claim that two lease to": ('if has ~= "" and has ~= consumer then', "if false then"),
    "a claim that ends early": (
        "keep_held_alive(claim, before, ttl, grace)\n    begin(claim, ttl, grace, consumer)",
        "if holds == 0 then begin(claim, ttl, grace, consumer) end",
    ),
    "bytes that are not given back": (
        "bytes = math.max(bytes - size, 0)",
        "",
    ),
    "bytes that a dead letter does not take": ("bytes = bytes + #record", ""),
    "a queue that holds one message more": ("+ count > most_messages", "+ count - 1 > most_messages"),
    "a lost delayed message": (
        'call("ZADD", FREE, unpack(places))\n    call("ZREM", DELAYED',
        'call("ZADD", FREE, places[1], places[2])\n    call("ZREM", DELAYED',
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("store_server", ["valkey"], indirect=True)
def test_the_machine_finds_what_is_planted(
    mutant: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, *MUTANTS[mutant])
    # A message that is half gone may be met first by who cannot read it.
    errors = AssertionError, TypeError
    find(partial(StoreMachine, *connections), max_examples=500, stateful_step_count=100, errors=errors)

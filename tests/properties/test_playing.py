"""Planted faults are found, also where they show now and then, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import pytest
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.properties.playing import find


class Machine(RuleBasedStateMachine):
    """Fails in its third step, if it `fails`; one rule can only be chosen if it is `moody` now."""

    moods: Iterator[bool] = cycle([False])
    fails = False

    def __init__(self) -> None:
        super().__init__()
        self.failing = self.fails
        self.moody = next(self.moods)
        self.steps = 0

    @rule()
    def step(self) -> None:
        self.steps += 1
        assert not self.failing or self.steps < 3

    @precondition(lambda self: self.moody)
    @rule()
    def another(self) -> None:
        """One more to choose from."""


def test_a_fault_that_shows_always() -> None:
    class Failing(Machine):
        fails = True

    find(Failing, max_examples=10, stateful_step_count=5)


def test_a_fault_that_shows_once() -> None:
    class FailingOnce(Machine):
        fails = True

        def __init__(self) -> None:
            super().__init__()
            type(self).fails = False

    find(FailingOnce, max_examples=10, stateful_step_count=5)


def test_no_fault() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        find(Machine, max_examples=10, stateful_step_count=5)


def test_what_hypothesis_stumbles_over_is_no_fault() -> None:
    class Moody(Machine):
        moods = cycle([False, True])

    with pytest.raises(AssertionError, match="hypothesis stumbled before anything was found"):
        find(Moody, max_examples=10, stateful_step_count=5)

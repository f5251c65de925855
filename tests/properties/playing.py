"""Runs state machines, and shows that they find what is planted in the code for one test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from hashlib import sha1
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, run_state_machine_as_test

from storage.redis import scripts
from storage.redis.scripts import Script

Factory = Callable[[], RuleBasedStateMachine]
"""Makes machines. (Hypothesis asks for a class, and takes any.)"""


def play(machine: Factory, **chosen: Any) -> None:
    """Run the machine; AssertionError where something is not as the model says.

    :param chosen: hypothesis settings.
    """
    run_state_machine_as_test(machine, settings=_limits(**chosen))  # type: ignore[arg-type]  # any factory will do


def find(
    machine: Factory,
    max_examples: int,
    stateful_step_count: int,
    errors: tuple[type[BaseException], ...] = (AssertionError,),
) -> None:
    """Run the machine until it fails with one of the errors, as it must: something is planted.

    Always the same examples, without shrinking: that it is found is all that counts. Where the fault shows
    hangs on when servers answer, too. That it shows in another step, or not at all, when hypothesis goes the
    same way once more is therefore no matter.
    """
    limits = _limits(
        max_examples=max_examples,
        stateful_step_count=stateful_step_count,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        database=None,
    )
    test: Any = get_state_machine_test(machine, settings=limits)  # type: ignore[arg-type]  # as above
    play_once = test.hypothesis.inner_test
    found: list[BaseException] = []

    @wraps(play_once)  # of whose source hypothesis makes the seed
    def play_and_note(*arguments: Any, **named: Any) -> None:
        try:
            play_once(*arguments, **named)
        except errors as error:
            found.append(error)
            raise

    test.hypothesis.inner_test = play_and_note
    with pytest.raises((*errors, Flaky)) as raised:
        test()
    assert found, f"hypothesis stumbled before anything was found: {raised.value}"


def _limits(**chosen: Any) -> settings:
    return settings(deadline=None, suppress_health_check=list(HealthCheck), **chosen)


def plant(monkeypatch: pytest.MonkeyPatch, line: str, instead: str) -> None:
    """Change a line of the Lua in every script that has it."""
    planted = 0
    for name, script in list(vars(scripts).items()):
        if isinstance(script, Script) and line in script.source:
            source = script.source.replace(line, instead)
            digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
            monkeypatch.setattr(scripts, name, replace(script, source=source, sha=digest))
            planted += 1
    assert planted, "the Lua no longer has this line: mutate what stands there now"

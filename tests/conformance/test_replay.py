"""Conversations recorded with OpenStack Zaqar 23.0.1 go the same way with the running gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.player import Player, read_steps
from tests.support.gateway import Gateway

SCENARIOS = sorted((Path(__file__).parent / "ws").glob("*.json"))

ASSERTED_STEPS = 571
"""How many steps of all scenarios are compared; each must match."""


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_conversation_goes_as_recorded(path: Path, gateway: Gateway) -> None:
    with Player(gateway.url) as player:
        asserted, differences = player.play(path)
    assert not differences, "\n".join([f"{len(differences)} of {asserted} steps differ", *differences])


def test_every_recorded_step_is_compared() -> None:
    assert sum(step.asserted for path in SCENARIOS for step in read_steps(path)) == ASSERTED_STEPS

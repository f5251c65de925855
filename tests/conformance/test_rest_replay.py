"""REST conversations recorded with OpenStack Zaqar 23.0.1 go the same way with the running gateway."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.conformance.rest_player import RestPlayer, read_steps
from tests.support.gateway import Gateway

SCENARIOS = sorted((Path(__file__).parent / "http").glob("*.json"))

ASSERTED_STEPS = 341
"""How many steps of all scenarios are compared; each must match."""


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_conversation_goes_as_recorded(path: Path, gateway: Gateway) -> None:
    with closing(RestPlayer(gateway.http_url)) as player:
        asserted, differences = player.play(path)
    assert not differences, "\n".join([f"{len(differences)} of {asserted} steps differ", *differences])


def test_every_recorded_step_is_compared() -> None:
    assert sum(step.asserted for path in SCENARIOS for step in read_steps(path)) == ASSERTED_STEPS

"""The conversation that was recorded with Zaqar behind Keystone goes the same way with JSON Web Tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conformance.player import Player, read_steps
from tests.support.gateway import start_gateway
from tests.support.tokens import Issuer

RECORDED = Path(__file__).parent / "ws" / "auth.keystone.json"

STEPS = range(1, 22)
"""Up to where tokens expire and URLs are signed."""


def test_the_conversation_with_keystone_goes_as_recorded(tmp_path: Path) -> None:
    issuer = Issuer.new()
    with (
        start_gateway(tmp_path / "data", *issuer.arguments(tmp_path)) as gateway,
        Player(gateway.url) as player,
    ):

        def with_token(send: dict[str, Any]) -> dict[str, Any]:
            """The step with a real token in place of the recorded one, for a project of this run."""
            named = send["headers"].get("X-Auth-Token", "").partition("-")
            if named[0] not in ("good", "short"):
                return send
            token = issuer.token(project=f"{named[2]}-{player.run}")
            return {**send, "headers": {**send["headers"], "X-Auth-Token": token}}

        differences = [
            f"{step}: {difference}"
            for step in read_steps(RECORDED, player.run)
            if step.number in STEPS
            and (difference := player.step(replace(step, send=with_token(step.send)))) is not None
        ]
    assert not differences, "\n".join(differences)

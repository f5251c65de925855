"""When a client connects again."""

from __future__ import annotations

import pytest

from zaqar_gateway_client.backoff import FIRST, LONGEST, RESTART_SPREAD, Backoff, wait_after_close


@pytest.fixture
def ceilings(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is drawn from; the draw itself is the ceiling."""
    drawn: list[float] = []

    def uniform(least: float, most: float) -> float:
        assert least == 0
        drawn.append(most)
        return most

    monkeypatch.setattr("random.uniform", uniform)
    return drawn


def test_the_ceiling_doubles_to_a_limit_and_begins_again(ceilings: list[float]) -> None:
    backoff = Backoff()
    assert [backoff.next() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
    backoff.reset()
    assert backoff.next() == FIRST
    assert max(ceilings) == LONGEST


def test_waits_are_spread_from_zero_on() -> None:
    waits = []
    for _ in range(200):
        waits.append(Backoff().next())
    assert min(waits) < 0.1 * FIRST
    assert max(waits) > 0.9 * FIRST
    assert all(0 <= wait <= FIRST for wait in waits)


@pytest.mark.parametrize(
    ("code", "lived", "told", "renewable", "wait"),
    [
        (None, 100, None, False, FIRST),
        (1000, 100, None, False, FIRST),
        (1011, 100, None, False, FIRST),
        (1012, 100, None, False, RESTART_SPREAD),
        (1012, 100, 3.5, False, 3.5),
        (None, 100, 3.5, False, 3.5),
        (4000, 100, None, True, None),
        (4003, 100, None, False, None),
        (4003, 100, None, True, 0.0),
        (4003, 0.1, None, True, FIRST),
        (4099, 100, None, False, None),
        (4100, 100, None, False, FIRST),
        (4199, 100, None, False, FIRST),
        (4200, 100, None, False, 0.0),
        (4200, 0.1, None, False, FIRST),
    ],
)
def test_close_codes_are_obeyed(
    ceilings: list[float],
    code: int | None,
    lived: float,
    told: float | None,
    renewable: bool,
    wait: float | None,
) -> None:
    assert wait_after_close(code, lived, told, renewable, Backoff()) == wait

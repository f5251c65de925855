"""Percentiles, tables and the bar."""

from __future__ import annotations

import io

import pytest

from gateway.bench.figures import Progress, figures, percentile, table


@pytest.mark.parametrize(("part", "value"), [(0, 1), (0.5, 50), (0.99, 99), (1, 100)])
def test_a_percentile_is_a_value_that_was_seen(part: float, value: float) -> None:
    assert percentile(list(range(1, 101)), part) == value


def test_figures_of_latencies() -> None:
    seen = figures("message_post", [0.003, 0.001, 0.002], 2)
    assert (seen.operations, seen.per_second) == (3, 1.5)
    assert (seen.p50_ms, seen.p99_ms, seen.max_ms) == (2, 2, 3)


def test_figures_of_nothing() -> None:
    assert figures("message_post", [], 0).per_second == 0
    assert figures("message_post", [], 0).max_ms == 0


def test_columns_are_aligned() -> None:
    assert table([["action", "n"], ["post", "12345"]]) == "action       n\npost     12345\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal_only() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream)
        progress.show(0.5, "15 posts")
        progress.show(0.6, "not drawn: too early")
        progress.clear()
    assert terminal.getvalue() == f"\r\x1b[K[{'#' * 15}{'.' * 15}] 15 posts\r\x1b[K"
    assert file.getvalue() == ""

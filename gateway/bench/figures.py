"""What a load measured, and how it is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

WIDTH = 30


@dataclass(frozen=True)
class Figures:
    """One action's. `per_second` over the time of the load; latencies in milliseconds."""

    action: str
    operations: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def percentile(ordered: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of the values are not above; 0 without values."""
    return ordered[int((len(ordered) - 1) * part)] if ordered else 0.0


def figures(action: str, latencies: Sequence[float], seconds: float) -> Figures:
    """The figures of an action.

    :param latencies: of each operation, in seconds.
    :param seconds: how long the load was at it.
    """
    ordered = sorted(latencies)
    return Figures(
        action,
        len(ordered),
        len(ordered) / seconds if seconds > 0 else 0.0,
        percentile(ordered, 0.5) * 1000,
        percentile(ordered, 0.99) * 1000,
        percentile(ordered, 1) * 1000,
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(
        "   ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )


class Progress:
    """A bar on a terminal; nothing elsewhere. Drawn at most ten times a second."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._drawn = 0.0

    def show(self, part: float, text: str) -> None:
        """`part` (0 to 1) is done, and `text` is what goes on."""
        now = time.monotonic()
        if self._shown and now - self._drawn >= 0.1:
            self._drawn = now
            full = round(min(max(part, 0.0), 1.0) * WIDTH)
            self._stream.write(f"\r\x1b[K[{'#' * full}{'.' * (WIDTH - full)}] {text[:90]}")
            self._stream.flush()

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

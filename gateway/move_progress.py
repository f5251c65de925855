"""How far a move is, for who waits for it: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

from storage.mover import Progress

_REDRAW = 0.1
"""Seconds between two looks of the bar."""

_LINE = 5.0
"""Seconds between two lines where there is no terminal."""

_WIDTH = 24


class MoveProgress:
    """Writes to `stream` how far a move is.

    :param title: what moves from where to where.
    :param total: messages at the beginning.
    """

    def __init__(self, stream: TextIO, title: str, total: int) -> None:
        self._stream = stream
        self._title = title
        self._total = total
        self._on_terminal = stream.isatty()
        self._began_at = self._told_at = time.monotonic()
        self._first: int | None = None
        self._last: Progress | None = None
        self._step = ""

    def tell(self, progress: Progress) -> None:
        """The move has come so far. Called often."""
        if self._first is None:
            self._first = progress.copied  # a move that is continued does not begin at 0
        self._last = progress
        now = time.monotonic()
        pause = _REDRAW if self._on_terminal else _LINE
        if now - self._told_at >= pause:
            self._told_at = now
            self._write()

    def end(self) -> None:
        """Nothing more comes."""
        if self._last is not None:
            self._write()
            if self._on_terminal:
                self._stream.write("\n")

    def _write(self) -> None:
        line = f"{self._title}  {self.line()}"
        # Erases what was longer before.
        self._stream.write(f"\r{line}\x1b[K" if self._on_terminal else f"{line}\n")
        self._stream.flush()

    def line(self) -> str:
        """How far it is, in words."""
        assert self._last is not None and self._first is not None  # both are told together
        copied = self._last.copied
        total = max(self._total, copied)
        share = copied / total if total else 1.0
        rate = (copied - self._first) / max(time.monotonic() - self._began_at, 0.001)
        bar = f"[{'#' * int(share * _WIDTH):.<{_WIDTH}}] " if self._on_terminal else ""
        text = f"{bar}{share:4.0%}  {copied:,} of {total:,} messages  {rate:,.0f}/s"
        return f"{text}  {self._last.noted:,} changes left"

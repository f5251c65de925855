"""What the commands write: JSON lines for programs, tables and colours for people."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from zaqar_gateway_client import Message
from zaqar_gateway_client.codec import encode

_REDRAW = 0.2
"""Seconds between two looks of the progress."""


class Output:
    """Writes results to stdout, and what is only for people to stderr.

    :param as_json: JSON lines, even if stdout is a terminal.
    """

    def __init__(self, as_json: bool, stdout: TextIO = sys.stdout, stderr: TextIO = sys.stderr) -> None:
        self.for_people = stdout.isatty() and not as_json
        self._stdout = stdout
        self._stderr = stderr
        self._colours = self.for_people and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._drawn_at = 0.0
        self._drawn = False

    def line(self, document: Mapping[str, Any], *, flush: bool = True) -> None:
        """One JSON object. Binary values are `{"$binary": "<base64>"}`."""
        self._stdout.write(f"{_json(document)}\n")
        if flush:
            self._stdout.flush()

    def flush(self) -> None:
        """Let go of what was written."""
        self._stdout.flush()

    def message(self, message: Message, *, flush: bool = True) -> None:
        """A message: its fields as JSON, or when it was posted and its body."""
        if not self.for_people:
            return self.line(_fields(message), flush=flush)
        body = _printable(_json(message.body))
        when = message.created or f"{message.age} s old"
        self._stdout.write(f"{self._faint(when)}  {body}\n")
        if flush:
            self._stdout.flush()

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows with a heading; the first column to the left, the others, which are numbers, to the right."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for number, row in enumerate(rows):
            cells = [f"{row[0]:<{widths[0]}}"]
            cells += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            text = "  ".join(cells).rstrip()
            self._stdout.write(f"{self._bold(text) if number == 0 else text}\n")

    def say(self, text: str) -> None:
        """A line for people, on stderr."""
        self.end_progress()
        self._stderr.write(f"{_printable(text)}\n")
        self._stderr.flush()

    def progress(self, text: str) -> None:
        """How far it is, on stderr if that is a terminal. Called often."""
        now = time.monotonic()
        if self._stderr.isatty() and now - self._drawn_at >= _REDRAW:
            self._drawn_at = now
            self._drawn = True
            self._stderr.write(f"\r{text}\x1b[K")
            self._stderr.flush()

    def end_progress(self) -> None:
        """Take the progress away."""
        if self._drawn:
            self._drawn = False
            self._stderr.write("\r\x1b[K")

    def _faint(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._colours else text

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colours else text


def _fields(message: Message) -> dict[str, Any]:
    """What is known of a message."""
    fields: dict[str, Any] = {"id": message.id, "body": message.body, "ttl": message.ttl}
    optional = ("position", "created", "age", "claim_id", "claim_count", "dead_letter")
    fields.update({key: getattr(message, key) for key in optional if getattr(message, key)})
    return fields


def _json(value: Any) -> str:
    # The client's own way tells binary values too; it takes objects.
    text = encode({"": value}, "json")
    assert isinstance(text, str)
    return text[len('{"":') : -1]


def _printable(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )

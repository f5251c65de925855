"""A C program of `bench/native` that is driven line by line: a command in, a line out."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self


class LoadError(Exception):
    """The load could not be done: the server refused, dropped a socket or did not answer."""


class NativeProgram:
    """A running program; leaving the context ends it, at once after a failure."""

    def __init__(self, program: Path, arguments: Sequence[str]) -> None:
        # A file, not a pipe: nobody reads it while the program works.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # __exit__ closes it
        self._process = subprocess.Popen(
            [str(program), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )

    def _say(self, command: str) -> bytes:
        """Say a line and wait for the answer. Raises `LoadError` with what the program says of its end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has failed, and says why
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        return self._line()

    def _line(self) -> bytes:
        """The next line that it says. Raises `LoadError` as `_say` does."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise LoadError(self._errors.read().decode(errors="replace").strip())
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if error is not None:
            self._process.kill()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

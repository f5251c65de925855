"""The load of the comparisons: drives the C program `bench/native/load.c`."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

import msgspec

from bench.paths import LOAD


class LoadError(Exception):
    """The load could not be done: the server refused, dropped a socket or did not answer."""


@dataclass(frozen=True)
class Done:
    """What one command of the load did. Latencies are microseconds, 0 where none is measured."""

    operations: int
    rounds: int
    seconds: float
    load_cpu_seconds: float
    p50_us: float
    p99_us: float
    max_us: float


class Load:
    """A running load program; leaving the context ends it, and so closes its sockets.

    :param port: where the server listens on loopback.
    :param sockets: how many sockets it opens, without the one that publishes.
    :param arguments: its options (the head of load.c).
    """

    def __init__(self, port: int, sockets: int, arguments: Sequence[str]) -> None:
        # A file, not a pipe: nobody reads it while the load runs.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # __exit__ closes it
        self._process = subprocess.Popen(
            [str(LOAD), "--port", str(port), "--sockets", str(sockets), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def do(self, command: str) -> Done:
        """Do `open`, `prepare`, `run SECONDS` or `resume`. Raises `LoadError` if it cannot."""
        return msgspec.json.decode(self._say(command), type=Done)

    def drop(self) -> None:
        """Close all sockets at once."""
        self._say("drop")

    def _say(self, command: str) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
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
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

"""The load of the comparisons: drives the C program `bench/native/load.c`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bench.native_program import NativeProgram
from bench.paths import LOAD


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


class Load(NativeProgram):
    """A running load program; leaving the context ends it, and so closes its sockets.

    :param port: where the server listens on loopback.
    :param sockets: how many sockets it opens, without the one that publishes.
    :param arguments: its options (the head of load.c).
    """

    def __init__(self, port: int, sockets: int, arguments: Sequence[str]) -> None:
        super().__init__(LOAD, ["--port", str(port), "--sockets", str(sockets), *arguments])

    def do(self, command: str) -> Done:
        """Do `open`, `prepare`, `run SECONDS` or `resume`. Raises `LoadError` if it cannot."""
        return msgspec.json.decode(self._say(command), type=Done)

    def drop(self) -> None:
        """Close all sockets at once."""
        self._say("drop")

"""What a run of the comparisons measured, as it is kept in a file."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from msgspec import Struct, field, json


class Machine(Struct, frozen=True):
    """Where it was measured."""

    processor: str
    cores: int
    kernel: str
    python: str


class Measured(Struct):
    """One server at one kind of work: the median of each figure, and all repetitions."""

    work: str
    peer: str
    note: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    repetitions: list[dict[str, float]] = field(default_factory=list)
    failure: str = ""


class Results(Struct):
    """A run."""

    when: str
    quick: bool
    repetitions: int
    machine: Machine
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json.format(json.encode(self), indent=1) + b"\n")


def read(path: Path) -> Results:
    """Read what `Results.write` wrote."""
    return json.decode(path.read_bytes(), type=Results)


def this_machine() -> Machine:
    """Where this runs."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(
        processor=models[0] if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        kernel=f"Linux {platform.release().partition('-')[0]}",
        python=platform.python_version(),
    )

"""Notes how long garbage collections take, from outside the program: Python imports this when it starts."""

from __future__ import annotations

import gc
import os
import time

FILE = os.environ.get("BENCH_COLLECTIONS")


def watch(path: str) -> None:
    """Append the microseconds of each collection that is longer than those before it to the file."""
    began = 0.0
    longest = 0.0

    def collected(phase: str, info: dict[str, int]) -> None:
        nonlocal began, longest
        if phase == "start":
            began = time.perf_counter()
            return
        took = (time.perf_counter() - began) * 1e6
        if took > longest:
            longest = took
            with open(path, "a", encoding="ascii") as file:
                file.write(f"{took:.1f}\n")

    gc.callbacks.append(collected)


if FILE:
    watch(FILE)

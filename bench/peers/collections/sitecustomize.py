"""Notes how long garbage collections take, from outside the program: Python imports this when it starts."""

from __future__ import annotations

import gc
import os
import time

FILE = os.environ.get("BENCH_COLLECTIONS")


def watch(path: str) -> None:
    """Append the microseconds of each collection of more than 100 to the file.

    It is CPU time: collecting waits for nothing, and what other programs take meanwhile is not the gateway's.
    """
    began = 0.0

    def collected(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
            return
        took = (time.thread_time() - began) * 1e6
        if took > 100:
            with open(path, "a", encoding="ascii") as file:
                file.write(f"{took:.1f}\n")

    gc.callbacks.append(collected)


if FILE:
    watch(FILE)

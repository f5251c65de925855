"""Where the comparisons find what `make bench` builds and installs for them."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

BUILT = ROOT / ".bench"
"""Programs that are compiled and peers that are installed; git ignores it."""

LOAD = BUILT / "load"
RECEIVER = BUILT / "receiver"
SENDLOOP = BUILT / "sendloop"
RESULTS = HERE / "results"
PUBLISHED = RESULTS / "published.json"

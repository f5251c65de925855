"""How much memory a process takes."""

from __future__ import annotations

import re
from pathlib import Path


class Peak:
    """How much memory a process takes beyond what it takes now, at its highest."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew (proc(5))
        self._before = self._read("VmRSS")

    def growth(self) -> int:
        """Bytes."""
        return self._read("VmHWM") - self._before

    def _read(self, name: str) -> int:
        match = re.search(rf"^{name}:\s+(\d+) kB$", self._status.read_text(), re.MULTILINE)
        assert match
        return int(match[1]) * 1024

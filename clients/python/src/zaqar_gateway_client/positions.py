"""Where subscriptions remember how far the application has come, so that a restart goes on there."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Protocol


class Positions(Protocol):
    """What `connect(positions=...)` needs. Both calls should be quick: they are made from the event loop."""

    async def load(self, key: str) -> str | None:
        """The position that was saved last under this key, or None."""

    async def save(self, key: str, position: str) -> None:
        """The application is done with everything up to here. Called for every message."""


class MemoryPositions:
    """Forgets with the process. For tests, and for gateways that are opened again within one."""

    def __init__(self) -> None:
        self._saved: dict[str, str] = {}

    async def load(self, key: str) -> str | None:
        return self._saved.get(key)

    async def save(self, key: str, position: str) -> None:
        self._saved[key] = position


class FilePositions:
    """Keeps them in one JSON file, which is replaced as a whole each time.

    It survives the end of the process, however sudden. It is not synced to disk, so after a power cut some
    messages may come again.

    :param path: the file; its folder has to be there. One process uses it at a time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._saved: dict[str, str] | None = None

    async def load(self, key: str) -> str | None:
        """Raises `ValueError` if the file holds something else, `OSError` if it cannot be read."""
        return self._all().get(key)

    async def save(self, key: str, position: str) -> None:
        """Raises `OSError` if the file cannot be written."""
        saved = self._all()
        saved[key] = position
        self._write(saved)

    def _write(self, saved: dict[str, str]) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(saved, file)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _all(self) -> dict[str, str]:
        if self._saved is None:
            try:
                found = json.loads(self._path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                found = {}
            if not isinstance(found, dict):
                raise ValueError(f"{self._path} holds no positions")
            self._saved = {str(key): str(value) for key, value in found.items()}
        return self._saved

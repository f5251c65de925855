"""The keys that sign URLs, and those that signatures are accepted of (protocol.signed_urls)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from gateway.key_file import MAX_KEYS, read_key_lines
from gateway.operator_file import OperatorFile
from gateway.settings import SettingsError

SHORTEST = 16
"""Characters that a key has at least. 32 or more that are random are better."""


class SigningKeys(OperatorFile, Sequence[bytes]):
    """The keys in a file, one in each line that is not empty. The first one signs.

    Raises SettingsError, in which no key stands.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("signing_key_file", path)

    def _load(self) -> None:
        self._keys = _read(self._path)

    @overload
    def __getitem__(self, which: int) -> bytes: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[bytes]: ...
    def __getitem__(self, which: int | slice) -> bytes | Sequence[bytes]:
        return self._keys[which]

    def __len__(self) -> int:
        return len(self._keys)


def _read(path: Path) -> tuple[bytes, ...]:
    keys = read_key_lines("signing_key_file", path)
    if not 1 <= len(keys) <= MAX_KEYS or min(map(len, keys)) < SHORTEST:
        raise SettingsError(
            f"signing_key_file: {path}: holds {len(keys)} keys, or too short ones; "
            f"allowed: from 1 to {MAX_KEYS}, one a line, of at least {SHORTEST} characters"
        )
    return tuple(key.encode() for key in keys)

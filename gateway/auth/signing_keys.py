"""The keys that sign URLs, and those that signatures are accepted of (protocol.signed_urls)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from gateway.operator_file import OperatorFile
from gateway.settings import SettingsError

SHORTEST = 16
"""Characters that a key has at least. 32 or more that are random are better."""

MAX_KEYS = 8
"""Each costs time with each signature that is looked at."""


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
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise SettingsError(f"signing_key_file: {path}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"signing_key_file: {path}: cannot be read: {error.strerror or error}") from None
    keys = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(keys) <= MAX_KEYS or min(map(len, keys)) < SHORTEST:
        raise SettingsError(
            f"signing_key_file: {path}: holds {len(keys)} keys, or too short ones; "
            f"allowed: from 1 to {MAX_KEYS}, one a line, of at least {SHORTEST} characters"
        )
    return tuple(key.encode() for key in keys)

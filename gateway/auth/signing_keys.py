"""The keys that sign URLs, and those that signatures are accepted of (protocol.signed_urls)."""

from __future__ import annotations

from gateway.key_file import MAX_KEYS, read_key_lines
from gateway.settings import SettingsError

SHORTEST = 16
"""Characters that a key has at least. 32 or more that are random are better."""


def read_signing_keys(path: str | None) -> tuple[bytes, ...]:
    """The keys in a file, one in each line that is not empty. The first one signs. None: there are none.

    Raises SettingsError, in which no key stands.
    """
    if path is None:
        return ()
    keys = read_key_lines("signing_key_file", path)
    if not 1 <= len(keys) <= MAX_KEYS or min(map(len, keys)) < SHORTEST:
        raise SettingsError(
            f"signing_key_file: {path}: holds {len(keys)} keys, or too short ones; "
            f"allowed: from 1 to {MAX_KEYS}, one a line, of at least {SHORTEST} characters"
        )
    return tuple(key.encode() for key in keys)

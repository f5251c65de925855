"""Files of secret keys: one on each line, the one that is used first."""

from __future__ import annotations

from pathlib import Path

from gateway.settings import SettingsError

MAX_KEYS = 8
"""A file holds no more: each but the first is there only until nothing needs it any more."""


def read_key_lines(setting: str, path: Path) -> list[str]:
    """The lines of the file that a setting names, without those that are empty.

    Raises SettingsError, in which no key stands.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise SettingsError(f"{setting}: {path}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: cannot be read: {error.strerror or error}") from None
    return [line.strip() for line in lines if line.strip()]

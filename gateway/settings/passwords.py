"""Passwords of the gateway's own, each a setting, or the first line of a file that another setting names."""

from __future__ import annotations

from pathlib import Path

from gateway.settings.kinds import text
from gateway.settings.setting import SettingsError

WORD = "up to 256 printable characters"


def check_word(text: str) -> str:
    """A name or a password."""
    if not 0 < len(text) <= 256 or not text.isprintable():
        raise ValueError(text)
    return text


PASSWORD = text("PASSWORD", WORD, check_word)


def read_password(name: str, password: str | None, path: Path | None, needed_by: str) -> str:
    """A password. Raises SettingsError, in which none stands, if there is none.

    :param name: of the setting that `password` is the value of; `path` is that of `<name>_file`.
    :param needed_by: what cannot be without it, for the message.
    """
    if password is not None:
        return password
    if path is None:
        raise SettingsError(f"{name}_file: is not set, and {needed_by} needs it; allowed: a file")
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{name}_file: {path}: cannot be read: {reason}") from None
    if not lines or not lines[0]:
        raise SettingsError(f"{name}_file: {path}: its first line is empty; allowed: a password")
    return lines[0]

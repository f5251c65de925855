"""The keys that messages are encrypted by (storage.encryption): where they come from (docs/encryption.md)."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

from gateway.key_file import MAX_KEYS, read_key_lines
from gateway.logs import get_logger
from gateway.operator_file import OperatorFile
from gateway.settings import Settings, SettingsError
from storage.encryption import KEY_BYTES, EncryptionKey, Keyring
from storage.errors import MessageUnreadable
from storage.records import Queue

OWN_FILE = "encryption-keys"
"""In the data folder: keys of a node that keeps its messages there and is given no others."""

TELL_INTERVAL = 60.0
"""Seconds in which one message that cannot be read is logged; the others are counted."""

_LINE = re.compile(rf"([A-Za-z0-9._-]{{1,32}})\s+([0-9A-Fa-f]{{{2 * KEY_BYTES}}})")

log = get_logger(__name__)


def key_file(settings: Settings) -> Path | None:
    """The file of the node's keys: the one that is set, or its own, made if it is not there. None: none.

    Only who has the lock of the data folder may ask. A node has a file of its own only where its messages are
    in the same folder: others that use the same store could not read what it encrypts.
    """
    if settings.encryption_key_file is not None:
        return settings.encryption_key_file
    if settings.redis_url is not None:
        return None
    path = settings.data_dir / OWN_FILE
    if not path.exists():
        _make(path)
    return path


def _make(path: Path) -> None:
    """Write a new key; whole, or not at all. Its id is random: another key must not be taken for it."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_hex(4)} {secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class EncryptionKeys(OperatorFile):
    """The keys in a file: an id and 32 bytes in hexadecimal on each line. The first one encrypts.

    Raises SettingsError, in which no key stands.
    """

    def __init__(self, path: Path) -> None:
        self.keyring = Keyring()
        super().__init__("encryption_key_file", path)

    def _load(self) -> None:
        self.keyring.use(_read(self._path))


def make_keyring(settings: Settings, files: list[OperatorFile]) -> Keyring:
    """The node's keys. Raises SettingsError if they cannot be used.

    :param files: the file that they are in is added here, if there is one.
    """
    path = key_file(settings)
    if path is None:
        return Keyring()
    keys = EncryptionKeys(path)
    files.append(keys)
    return keys.keyring


def _read(path: Path) -> list[EncryptionKey]:
    lines = read_key_lines("encryption_key_file", path)
    matches = [match for match in map(_LINE.fullmatch, lines) if match is not None]
    keys = [EncryptionKey(match[1], bytes.fromhex(match[2])) for match in matches]
    if (
        not 1 <= len(lines) <= MAX_KEYS
        or len(keys) != len(lines)
        or len({key.id for key in keys}) != len(keys)
    ):
        raise SettingsError(
            f"encryption_key_file: {path}: {len(lines)} lines, of which {len(keys)} hold a key; "
            f"allowed: from 1 to {MAX_KEYS}, on each an id of its own (up to 32 letters, digits, '.', '_' "
            f"or '-'), a space, and {2 * KEY_BYTES} hexadecimal digits"
        )
    return keys


class UnreadableLog:
    """Logs that messages cannot be read: one in TELL_INTERVAL, and how many since the one before."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._untold = 0
        self._next = 0.0

    def told(self, queue: Queue, message_id: str, error: MessageUnreadable) -> None:
        """A message of a queue could not be read (storage.redis.encrypted_records.OnUnreadable)."""
        self._untold += 1
        now = self._reactor.seconds()
        if now < self._next:
            return
        log.error(
            "message_unreadable",
            queue=queue.name,
            message_id=message_id,
            key_id=error.key_id,
            code=error.code,
            count=self._untold,
        )
        self._untold = 0
        self._next = now + TELL_INTERVAL

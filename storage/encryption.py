"""The operator's keys, and AES-256-GCM with them (NIST SP 800-38D).

A queue has a key of its own for each of the operator's: HKDF-SHA256 (RFC 5869) of that and the queue's
incarnation. So what is encrypted for one queue cannot be read as another's, and nonces, which are random,
need differ only among the messages of one queue.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import EncryptionKeyMissing, MessageNotAuthentic

KEY_BYTES: Final = 32

_PURPOSE: Final = b"zaqar-gateway messages of a queue 1 "
_NONCE_BYTES: Final = 12
_CACHED_QUEUES: Final = 4096


class EncryptionKey(NamedTuple):
    """A key of the operator."""

    id: str
    """Stands beside what it has encrypted: ASCII, up to 255 characters without a space."""
    secret: bytes
    """KEY_BYTES that are random."""


class Keyring:
    """The keys of a node: the first encrypts, all decrypt. False if there is none."""

    def __init__(self, keys: Sequence[EncryptionKey] = ()) -> None:
        self._cipher = lru_cache(_CACHED_QUEUES)(self._derive)
        self.use(keys)

    def use(self, keys: Sequence[EncryptionKey]) -> None:
        """Go by these keys from now on."""
        self._secrets = {key.id.encode(): key.secret for key in keys}
        self._first = keys[0].id.encode() if keys else b""
        self.ids = b" ".join((b"", *self._secrets, b""))
        """The keys' ids, a space before and behind each, as scripts look for one."""
        self._cipher.cache_clear()

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def encrypt(self, incarnation: int, plain: bytes, associated: bytes) -> bytes:
        """What `decrypt` reads with the same incarnation and associated data: key id, nonce, ciphertext, tag.

        Raises EncryptionKeyMissing if there is no key.
        """
        if not self._secrets:
            raise EncryptionKeyMissing(
                "The queue's messages are to be encrypted, and this gateway has no key: the operator has to "
                "name one in encryption_key_file. Nothing was stored."
            )
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._cipher(self._first, incarnation)
        head = bytes([len(self._first)]) + self._first
        return head + nonce + cipher.encrypt(nonce, plain, associated)

    def decrypt(self, incarnation: int, encrypted: bytes, associated: bytes) -> bytes:
        """What was encrypted. Raises EncryptionKeyMissing, MessageNotAuthentic."""
        end = 1 + encrypted[0] if encrypted else 0
        key_id = encrypted[1:end]
        shown = key_id.decode("ascii", "backslashreplace")
        if key_id not in self._secrets:
            raise EncryptionKeyMissing(
                "It is encrypted by a key that this gateway does not have. It is kept, and can be read when "
                "the operator has put the key back into encryption_key_file.",
                shown,
            )
        nonce, cipher = encrypted[end : end + _NONCE_BYTES], self._cipher(key_id, incarnation)
        try:
            return cipher.decrypt(nonce, encrypted[end + _NONCE_BYTES :], associated)
        except (InvalidTag, ValueError):  # ValueError: what is left is too short for a nonce
            raise MessageNotAuthentic(
                "It is not as it was encrypted for this queue: it was changed in the store, or its key was "
                "exchanged for another of the same id.",
                shown,
            ) from None

    def _derive(self, key_id: bytes, incarnation: int) -> AESGCM:
        info = _PURPOSE + incarnation.to_bytes(8, "big")
        derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info)
        return AESGCM(derive.derive(self._secrets[key_id]))

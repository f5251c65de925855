"""Whether a queue may ask for its messages to be encrypted (docs/encryption.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol.errors import BadRequest
from protocol.metadata import Metadata, settings
from storage.encryption import Keyring


class EncryptionDisabled(BadRequest):
    """The gateway has no key that encrypts."""

    code = "encryption_disabled"


def check_encryption(keyring: Keyring, metadata: Metadata, known: Mapping[str, Any] | None = None) -> None:
    """Raise EncryptionDisabled if metadata newly ask for encryption and there is no key.

    :param known: those that the queue has. One that asks for it already can still be changed.
    """
    if not keyring and settings(metadata).encrypted and not settings(known or {}).encrypted:
        raise EncryptionDisabled(
            "_enable_encrypt_messages: this gateway has no key to encrypt with. The operator names one in "
            "encryption_key_file."
        )

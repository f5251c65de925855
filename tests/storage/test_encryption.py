"""Keys, and what is encrypted by them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.encryption import EncryptionKey, Keyring
from storage.errors import EncryptionKeyMissing, MessageNotAuthentic

OLD, NEW = EncryptionKey("2025", bytes(range(32))), EncryptionKey("2026", bytes(range(32, 64)))
QUEUE = 0x123456789ABCDEF


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before, after = Keyring([OLD]), Keyring([NEW, OLD])
    encrypted = before.encrypt(QUEUE, b"secret", b"with")
    assert encrypted.startswith(b"\x042025")
    assert after.decrypt(QUEUE, encrypted, b"with") == b"secret"
    assert after.encrypt(QUEUE, b"secret", b"with").startswith(b"\x042026")


def test_it_is_aes_256_gcm_under_a_key_of_the_queue() -> None:
    encrypted = Keyring([OLD]).encrypt(QUEUE, b"secret", b"with")
    info = b"zaqar-gateway messages of a queue 1 " + QUEUE.to_bytes(8, "big")
    key = HKDF(SHA256(), 32, None, info).derive(OLD.secret)
    assert AESGCM(key).decrypt(encrypted[5:17], encrypted[17:], b"with") == b"secret"
    assert len(encrypted) == 1 + len(OLD.id) + 12 + len(b"secret") + 16


def test_the_same_is_never_encrypted_alike() -> None:
    ring = Keyring([OLD])
    assert len({ring.encrypt(QUEUE, b"secret", b"") for _ in range(100)}) == 100


def test_without_its_key_it_is_kept_and_not_read() -> None:
    encrypted = Keyring([OLD]).encrypt(QUEUE, b"secret", b"")
    for ring in (Keyring(), Keyring([NEW])):
        with pytest.raises(EncryptionKeyMissing) as caught:
            ring.decrypt(QUEUE, encrypted, b"")
        assert (caught.value.key_id, caught.value.code) == ("2025", "encryption_key_missing")


@pytest.mark.parametrize("at", [6, 20, -1])
def test_what_was_changed_is_not_read(at: int) -> None:
    changed = bytearray(Keyring([OLD]).encrypt(QUEUE, b"secret", b""))
    changed[at] ^= 1
    with pytest.raises(MessageNotAuthentic):
        Keyring([OLD]).decrypt(QUEUE, bytes(changed), b"")


def test_what_is_of_another_queue_or_goes_with_something_else_is_not_read() -> None:
    ring = Keyring([OLD])
    encrypted = ring.encrypt(QUEUE, b"secret", b"with")
    for incarnation, associated in ((QUEUE + 1, b"with"), (QUEUE, b"without")):
        with pytest.raises(MessageNotAuthentic):
            ring.decrypt(incarnation, encrypted, associated)


@pytest.mark.parametrize("length", range(0, 34, 3))
def test_what_was_cut_is_not_read(length: int) -> None:
    ring = Keyring([OLD])
    with pytest.raises((MessageNotAuthentic, EncryptionKeyMissing)):
        ring.decrypt(QUEUE, ring.encrypt(QUEUE, b"secret", b"")[:length], b"")


def test_without_keys_nothing_is_encrypted() -> None:
    assert not Keyring()
    assert Keyring([OLD])
    assert (Keyring().ids, Keyring([NEW, OLD]).ids) == (b" ", b" 2026 2025 ")
    with pytest.raises(EncryptionKeyMissing, match="encryption_key_file"):
        Keyring().encrypt(QUEUE, b"secret", b"")

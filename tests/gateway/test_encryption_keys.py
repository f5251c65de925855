"""Files of keys by which messages are encrypted (docs/encryption.md)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from gateway import encryption_keys
from gateway.encryption_keys import OWN_FILE, TELL_INTERVAL, EncryptionKeys, UnreadableLog, key_file
from gateway.settings import Settings, SettingsError
from storage.errors import EncryptionKeyMissing, MessageNotAuthentic
from storage.records import Queue

ONE, TWO = "00" * 32, "Ff" * 32


def test_keys_are_read_from_a_file_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"\n 2026-11_a.b  {ONE} \n2025\t{TWO}\n\n")
    assert EncryptionKeys(path).keyring.ids == b" 2026-11_a.b 2025 "


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        ONE.encode(),
        b"2026 " + ONE[:-1].encode(),
        b"2026 " + ONE[:-1].encode() + b"g",
        b"2026 " + ONE.encode() + b"00",
        b"not ascii\xc3\xa4 " + ONE.encode(),
        b"a" * 33 + b" " + ONE.encode(),
        b"2026 " + ONE.encode() + b"\n2026 " + TWO.encode(),
        b"2026 " + ONE.encode() + b"\nsecret words",
        b"\n".join(b"%d %s" % (n, ONE.encode()) for n in range(9)),
        b"\xff\xfe",
        None,
    ],
    ids=range(13),
)
def test_a_file_without_proper_keys_keeps_the_gateway_from_starting(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^encryption_key_file: ") as caught:
        EncryptionKeys(path)
    assert ONE[:20] not in str(caught.value)
    assert "secret words" not in str(caught.value)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"one {ONE}\n")
    keys = EncryptionKeys(path)
    ring = keys.keyring
    encrypted = ring.encrypt(1, b"secret", b"")
    path.write_text(f"two {TWO}\none {ONE}\n")
    keys.reload()
    assert (ring.ids, ring.decrypt(1, encrypted, b"")) == (b" two one ", b"secret")
    path.write_text("nonsense")
    keys.reload()
    assert ring.ids == b" two one "
    path.write_text(f"one {TWO}\n")
    keys.reload()
    with pytest.raises(MessageNotAuthentic):  # nothing is remembered of another key of this id
        ring.decrypt(1, encrypted, b"")


def test_a_node_with_its_messages_in_the_data_folder_makes_a_key_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    path = key_file(settings)
    assert path == tmp_path / OWN_FILE
    made = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert EncryptionKeys(path).keyring
    assert key_file(settings) == path
    assert path.read_text() == made
    assert [found.name for found in tmp_path.iterdir()] == [OWN_FILE]


def test_each_key_that_is_made_has_an_id_of_its_own(tmp_path: Path) -> None:
    ids = set()
    for _ in range(3):
        path = key_file(Settings(data_dir=tmp_path))
        assert path is not None
        ids.add(EncryptionKeys(path).keyring.ids)
        path.unlink()
    assert len(ids) == 3


def test_what_a_crash_left_unfinished_is_no_key(tmp_path: Path) -> None:
    (tmp_path / OWN_FILE).with_suffix(".new").write_text("ab")
    path = key_file(Settings(data_dir=tmp_path))
    assert path is not None
    assert EncryptionKeys(path).keyring


def test_no_key_is_made_for_a_store_that_others_may_use(tmp_path: Path) -> None:
    assert key_file(Settings(data_dir=tmp_path, redis_url="redis://elsewhere")) is None
    keys = tmp_path / "keys"
    assert key_file(Settings(data_dir=tmp_path, encryption_key_file=keys)) == keys
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[dict[str, object]] = []

    class Log:
        def error(self, event: str, **fields: object) -> None:
            logged.append({"event": event, **fields})

    monkeypatch.setattr(encryption_keys, "log", Log())
    clock, queue = Clock(), Queue("project", "jobs", 1)
    unreadable = UnreadableLog(clock)
    for _ in range(3):
        unreadable.told(queue, "id", EncryptionKeyMissing("why", "2025"))
    clock.advance(TELL_INTERVAL)
    unreadable.told(queue, "other", MessageNotAuthentic("why", "2026"))
    first = {"event": "message_unreadable", "queue": "jobs", "message_id": "id", "key_id": "2025"}
    second = {**first, "message_id": "other", "key_id": "2026"}
    assert logged == [
        {**first, "code": "encryption_key_missing", "count": 1},
        {**second, "code": "message_not_authentic", "count": 3},
    ]

"""Files of keys by which messages are encrypted (docs/encryption.md)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from gateway import encryption_keys
from gateway.encryption_keys import OWN_FILE, TELL_INTERVAL, UnreadableLog, key_file, read_keyring
from gateway.settings import Settings, SettingsError
from storage.errors import EncryptionKeyMissing, MessageNotAuthentic
from storage.records import Queue

ONE, TWO = "00" * 32, "Ff" * 32


def test_keys_are_read_from_a_file_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"\n 2026-11_a.b  {ONE} \n2025\t{TWO}\n\n")
    assert read_keyring(str(path)).ids == b" 2026-11_a.b 2025 "
    assert not read_keyring(None)


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
        read_keyring(str(path))
    assert ONE[:20] not in str(caught.value)
    assert "secret words" not in str(caught.value)


def test_a_node_with_its_messages_in_the_data_folder_makes_a_key_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    path = key_file(settings)
    assert path == str(tmp_path / OWN_FILE)
    made = Path(path).read_text()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert read_keyring(path)
    assert key_file(settings) == path
    assert Path(path).read_text() == made
    assert [found.name for found in tmp_path.iterdir()] == [OWN_FILE]


def test_each_key_that_is_made_has_an_id_of_its_own(tmp_path: Path) -> None:
    ids = set()
    for _ in range(3):
        path = key_file(Settings(data_dir=tmp_path))
        ids.add(read_keyring(path).ids)
        Path(str(path)).unlink()
    assert len(ids) == 3


def test_what_a_crash_left_unfinished_is_no_key(tmp_path: Path) -> None:
    (tmp_path / OWN_FILE).with_suffix(".new").write_text("ab")
    assert read_keyring(key_file(Settings(data_dir=tmp_path)))


def test_no_key_is_made_for_a_store_that_others_may_use(tmp_path: Path) -> None:
    assert key_file(Settings(data_dir=tmp_path, redis_url="redis://elsewhere")) is None
    keys = str(tmp_path / "keys")
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

"""Several ways to authenticate: a token goes to the one that its form says, and to no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.auth.chain import ByForm, make_authenticator
from gateway.auth.identity import Identity
from gateway.settings import Settings, SettingsError


class Noting:
    """Takes every token, and notes it."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.stopped = False

    async def identify(self, token: str) -> Identity:
        return Identity(self.project)

    async def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize(
    ("token", "way"),
    [
        ("eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "jwt"),
        ("eyJhbGciOiJub25lIn0.e30.", "jwt"),
        ("a.b.c", "jwt"),
        ("gAAAAABl5X-_abc", "other"),
        ("0123456789abcdef0123456789abcdef", "other"),
        ("a.b.c.d.e", "other"),
        ("a.b.c\n", "other"),
        ("a.b", "other"),
        ("é.b.c", "other"),
        ("", "other"),
        (".b.c", "other"),
    ],
)
def test_the_form_decides(token: str, way: str) -> None:
    assert asyncio.run(ByForm(Noting("jwt"), Noting("other")).identify(token)).project == way


def test_both_are_stopped() -> None:
    jwt, other = Noting("jwt"), Noting("other")
    asyncio.run(ByForm(jwt, other).stop())
    assert jwt.stopped
    assert other.stopped


def test_nobody_has_to_authenticate(tmp_path: Path) -> None:
    assert make_authenticator(None, Settings(data_dir=tmp_path), []) is None


@pytest.mark.parametrize("text", [None, b"short", b"-----BEGIN PUBLIC KEY-----" + b"x" * 40])
def test_a_key_that_cannot_be_used(text: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SettingsError, match="jwt_key_file: ") as raised:
        make_authenticator(None, Settings(data_dir=tmp_path, auth="jwt", jwt_key_file=path), [])
    assert str(path) in str(raised.value)
    assert "short" not in str(raised.value)

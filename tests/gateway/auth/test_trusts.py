"""Trusts in a real Keystone: what they are made with, what a token says that is got by one, how they end."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any, TypeVar

import pytest

from gateway.auth import trusts as module
from gateway.auth.keystone_client import KeystoneUnavailable
from gateway.auth.trusts import TrustEnded, Trusts, make_trusts
from gateway.settings import Settings
from protocol.errors import NotPermitted, OtherProject
from tests.support.keystone import PASSWORD, SERVICE_USER, Keystone
from tests.support.reactor import reactor, run, sleep

pytestmark = pytest.mark.timeout(600)

T = TypeVar("T")


class Trustor:
    """Who has a token in a project."""

    def __init__(self, keystone: Keystone) -> None:
        name = uuid.uuid4().hex
        self.project = keystone.create_project(name)
        self.user = keystone.create_user(name, {self.project: ["member"]})
        self.token = keystone.token(self.user, self.project)


@pytest.fixture(scope="module")
def trustor(keystone: Keystone) -> Trustor:
    return Trustor(keystone)


def trusting(keystone: Keystone, work: Callable[[Trusts], Awaitable[T]], **changes: Any) -> T:
    """What comes of some work with trusts."""
    fields = {"keystone_password": PASSWORD, "keystone_timeout": 60.0, **changes}
    fields.setdefault("keystone_auth_url", keystone.url)
    found = Settings(data_dir=Path("/"), auth="keystone", **fields)

    async def scenario() -> T:
        trusts = make_trusts(reactor, found)
        assert trusts is not None
        try:
            return await work(trusts)
        finally:
            await trusts.stop()

    return run(scenario, timeout=120)


def made(keystone: Keystone, trustor: Trustor, seconds: float = 3600) -> str:
    """A new trust."""
    return trusting(keystone, lambda trusts: trusts.create(trustor.token, trustor.project, time() + seconds))


def test_who_has_no_token_of_keystone_has_no_trusts(tmp_path: Path) -> None:
    assert make_trusts(reactor, Settings(data_dir=tmp_path)) is None


def test_a_trust_is_for_what_the_token_is(keystone: Keystone, trustor: Trustor) -> None:
    end = time() + 1234.5
    trust = keystone.trust(
        trusting(keystone, lambda trusts: trusts.create(trustor.token, trustor.project, end))
    )
    assert (trust["trustor_user_id"], trust["project_id"]) == (trustor.user, trustor.project)
    assert trust["impersonation"] is True
    assert trust["remaining_uses"] is None
    assert "member" in {role["name"] for role in trust["roles"]}
    assert "admin" not in {role["name"] for role in trust["roles"]}
    assert abs(datetime.fromisoformat(trust["expires_at"]).timestamp() - end) < 1.5
    service = keystone.token(SERVICE_USER, "service", by_name=True)
    assert trust["trustee_user_id"] == keystone.user_of(service)


def test_its_token_speaks_for_who_made_it(keystone: Keystone, trustor: Trustor) -> None:
    trust = made(keystone, trustor)
    before = keystone.requests("POST")

    async def work(trusts: Trusts) -> list[str]:
        return [await trusts.token(trust, trustor.project) for _ in range(3)]

    first, *others = trusting(keystone, work)
    assert others == [first] * 2
    assert keystone.requests("POST") == before + 1
    assert keystone.user_of(first) == trustor.user


def test_a_token_is_renewed_before_it_expires(
    keystone: Keystone, trustor: Trustor, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = made(keystone, trustor, 100_000)

    async def work(trusts: Trusts) -> None:
        first = await trusts.token(trust, trustor.project)
        ahead = 3600 - 60 + 1  # Keystone's tokens live an hour here
        monkeypatch.setattr(module, "time", lambda: time() + ahead)
        assert await trusts.token(trust, trustor.project) != first

    trusting(keystone, work)


def test_a_token_that_was_not_good_is_forgotten(keystone: Keystone, trustor: Trustor) -> None:
    trust = made(keystone, trustor)

    async def work(trusts: Trusts) -> None:
        first = await trusts.token(trust, trustor.project)
        trusts.forget(trust, "another one")
        assert await trusts.token(trust, trustor.project) == first
        trusts.forget(trust, first)
        assert await trusts.token(trust, trustor.project) != first

    trusting(keystone, work)


def test_only_so_many_tokens_are_kept(
    keystone: Keystone, trustor: Trustor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS", 2)
    one, two, three = (made(keystone, trustor) for _ in range(3))

    async def work(trusts: Trusts) -> None:
        tokens = {trust: await trusts.token(trust, trustor.project) for trust in (one, two)}
        assert await trusts.token(one, trustor.project) == tokens[one]  # `two` is now the one to go
        await trusts.token(three, trustor.project)
        assert await trusts.token(one, trustor.project) == tokens[one]
        assert await trusts.token(two, trustor.project) != tokens[two]

    trusting(keystone, work)


def test_another_projects_trust_is_none(keystone: Keystone, trustor: Trustor) -> None:
    trust = made(keystone, trustor)

    async def work(trusts: Trusts) -> None:
        for _ in range(2):
            with pytest.raises(TrustEnded):
                await trusts.token(trust, "another")
            await trusts.token(trust, trustor.project)

    trusting(keystone, work)


@pytest.mark.parametrize("how", ["unknown", "deleted", "over"])
def test_a_trust_that_has_ended(keystone: Keystone, trustor: Trustor, how: str) -> None:
    end = time() + (10 if how == "over" else 3600)
    trust = uuid.uuid4().hex if how == "unknown" else made(keystone, trustor, end - time())
    if how == "deleted":
        keystone.delete_trust(trust)

    async def work(trusts: Trusts) -> int:
        while how == "over" and time() < end + 1:
            await sleep(0.1)
        with pytest.raises(TrustEnded):
            await trusts.token(trust, trustor.project)
        asked = keystone.requests("POST")
        with pytest.raises(TrustEnded):
            await trusts.token(trust, trustor.project)
        return keystone.requests("POST") - asked

    assert trusting(keystone, work) == 0


def test_a_wrong_password_ends_no_trust(keystone: Keystone, trustor: Trustor) -> None:
    trust = made(keystone, trustor)

    async def work(trusts: Trusts) -> None:
        with pytest.raises(KeystoneUnavailable):
            await trusts.token(trust, trustor.project)

    trusting(keystone, work, keystone_password="wrong")


def test_a_keystone_that_is_away(trustor: Trustor, keystone: Keystone) -> None:
    async def work(trusts: Trusts) -> None:
        with pytest.raises(KeystoneUnavailable):
            await trusts.create(trustor.token, trustor.project, time() + 60)
        with pytest.raises(KeystoneUnavailable):
            await trusts.token("some", trustor.project)
        trusts.delete("some", trustor.project)
        await sleep(0.2)

    trusting(keystone, work, keystone_auth_url="http://127.0.0.1:1")


def test_who_may_make_none(keystone: Keystone, trustor: Trustor) -> None:
    revoked = keystone.token(trustor.user, trustor.project)
    keystone.revoke(revoked)

    async def work(trusts: Trusts) -> None:
        for token in ("", "no token", "unknown", revoked):
            with pytest.raises(NotPermitted):
                await trusts.create(token, trustor.project, time() + 60)
        with pytest.raises(OtherProject):
            await trusts.create(trustor.token, "another", time() + 60)
        with pytest.raises(OtherProject):
            await trusts.create(keystone.token(trustor.user, None), trustor.project, time() + 60)
        # Who is spoken for by a trust may not have others speak for them in turn.
        trust = await trusts.create(trustor.token, trustor.project, time() + 3600)
        with pytest.raises(NotPermitted):
            await trusts.create(await trusts.token(trust, trustor.project), trustor.project, time() + 60)

    trusting(keystone, work)


def test_a_trust_is_deleted(keystone: Keystone, trustor: Trustor) -> None:
    trust, kept = made(keystone, trustor), made(keystone, trustor)

    async def work(trusts: Trusts) -> None:
        await trusts.token(trust, trustor.project)
        trusts.delete(trust, trustor.project)
        trusts.delete(kept, "another")
        trusts.delete(kept, trustor.project, 3600)
        while trust in {each["id"] for each in keystone.trusts()}:
            await sleep(0.1)
        with pytest.raises(TrustEnded):
            await trusts.token(trust, trustor.project)

    trusting(keystone, work)
    assert keystone.trust(kept)["id"] == kept


def test_only_so_many_wait_to_be_deleted(
    keystone: Keystone, trustor: Trustor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DELETIONS", 1)
    trust = made(keystone, trustor)

    async def work(trusts: Trusts) -> None:
        trusts.delete("some", trustor.project, 3600)
        trusts.delete(trust, trustor.project)
        await sleep(0.2)

    trusting(keystone, work)
    assert keystone.trust(trust)["id"] == trust

"""Keystone is asked: a real one, killed, stopped, with wrong credentials; and servers that talk nonsense."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred, gatherResults

from gateway.auth import keystone_client
from gateway.auth.identity import Identity
from gateway.auth.keystone import Keystone as Asking
from gateway.auth.keystone import make_keystone
from gateway.auth.keystone_client import KeystoneUnavailable, credentials
from gateway.http.client import HttpClient
from gateway.settings import Settings, SettingsError
from protocol.errors import AuthenticationFailed
from tests.support.keystone import PASSWORD, Keystone
from tests.support.reactor import reactor, run, sleep

pytestmark = pytest.mark.timeout(600)

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that Keystone has on a busy machine."""


def settings(folder: Path, url: str, **changes: Any) -> Settings:
    fields = {"keystone_auth_url": url, "keystone_password": PASSWORD, **changes}
    fields.setdefault("keystone_timeout", PATIENCE)
    return Settings(data_dir=folder, auth="keystone", **fields)


def asking(url: str, function: Callable[[Asking], Awaitable[T]], **changes: Any) -> T:
    """What the function returns that is given something that asks this Keystone."""

    async def scenario() -> T:
        found = settings(Path("/"), url, **changes)
        asked = Asking(HttpClient(reactor), url, credentials(found), found.keystone_timeout)
        try:
            return await function(asked)
        finally:
            await asked.stop()

    return run(scenario, timeout=120)


class Tenant:
    """A project with a user in it who has the role member."""

    def __init__(self, keystone: Keystone, *roles: str) -> None:
        name = uuid.uuid4().hex
        self.project = keystone.create_project(name)
        self.user = keystone.create_user(name, {self.project: list(roles or ("member",))})


@pytest.fixture(scope="session")
def tenant(keystone: Keystone) -> Tenant:
    return Tenant(keystone)


def test_valid_token(keystone: Keystone, tenant: Tenant) -> None:
    token = keystone.token(tenant.user, tenant.project)
    identity: Identity = asking(keystone.url, lambda asked: asked.identify(token))
    assert (identity.project, identity.user) == (tenant.project, tenant.user)
    assert "member" in identity.roles
    assert identity.expires is not None
    assert 3500 < identity.expires - time() <= 3600


def test_roles(keystone: Keystone) -> None:
    admin = Tenant(keystone, "admin")
    identity = asking(keystone.url, lambda asked: asked.identify(keystone.token(admin.user, admin.project)))
    assert "admin" in identity.roles


def test_token_without_a_project(keystone: Keystone, tenant: Tenant) -> None:
    token = keystone.token(tenant.user, None)
    with pytest.raises(AuthenticationFailed) as caught:
        asking(keystone.url, lambda asked: asked.identify(token))
    assert caught.value.reason == "without a project"


@pytest.mark.parametrize(
    "token", ["bad", "", "a b", "a\r\nX-Auth-Token: b", "\ud800", "é", "x" * 8193, "gAAAAA" + "B" * 180]
)
def test_what_is_no_token(keystone: Keystone, token: str) -> None:
    with pytest.raises(AuthenticationFailed):
        asking(keystone.url, lambda asked: asked.identify(token))


def test_revoked_token(keystone: Keystone, tenant: Tenant) -> None:
    token = keystone.token(tenant.user, tenant.project)

    async def scenario(asked: Asking) -> None:
        await asked.identify(token)
        keystone.revoke(token)
        with pytest.raises(AuthenticationFailed):
            await asked.identify(token)

    asking(keystone.url, scenario)


def test_own_token_is_used_again_and_renewed_when_it_is_taken_back(
    keystone: Keystone, tenant: Tenant
) -> None:
    token = keystone.token(tenant.user, tenant.project)

    async def scenario(asked: Asking) -> None:
        before = keystone.requests("POST")
        together = [Deferred.fromCoroutine(asked.identify(token)) for _ in range(4)]
        await gatherResults(together)
        assert keystone.requests("POST") == before + 1
        assert asked._own is not None
        keystone.revoke(asked._own)
        together = [Deferred.fromCoroutine(asked.identify(token)) for _ in range(4)]
        await gatherResults(together)
        assert keystone.requests("POST") == before + 2

    asking(keystone.url, scenario)


def test_own_token_is_renewed_before_it_expires(
    keystone: Keystone, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = keystone.token(tenant.user, tenant.project)

    async def scenario(asked: Asking) -> None:
        await asked.identify(token)
        first = asked._own
        monkeypatch.setattr(keystone_client, "time", lambda: time() + 3500)
        await asked.identify(token)
        assert asked._own == first
        monkeypatch.setattr(keystone_client, "time", lambda: time() + 3545)
        await asked.identify(token)
        assert asked._own != first

    asking(keystone.url, scenario)


@pytest.mark.parametrize(
    "changes",
    [
        {"keystone_password": "wrong"},
        {"keystone_username": "nobody"},
        {"keystone_user_domain": "none"},
        {"keystone_project": "none"},
        {"keystone_project_domain": "none"},
    ],
)
def test_wrong_credentials_are_said_and_not_tried_all_the_time(
    keystone: Keystone, changes: dict[str, str]
) -> None:
    async def scenario(asked: Asking) -> None:
        before = keystone.requests("POST")
        for _ in range(3):
            with pytest.raises(KeystoneUnavailable) as caught:
                await asked.identify("token")
            assert "wrong" not in str(caught.value)
        assert keystone.requests("POST") == before + 1

    asking(keystone.url, scenario, **changes)


def test_user_who_may_not_look_at_tokens(keystone: Keystone, tenant: Tenant) -> None:
    plain = uuid.uuid4().hex
    keystone.create_user(plain, {keystone.create_project(plain): ["member"]})
    token = keystone.token(tenant.user, tenant.project)
    with pytest.raises(KeystoneUnavailable, match="403"):
        asking(
            keystone.url,
            lambda asked: asked.identify(token),
            keystone_username=plain,
            keystone_project=plain,
        )


def test_keystone_that_is_stopped(keystone: Keystone, tenant: Tenant) -> None:
    token = keystone.token(tenant.user, tenant.project)

    async def scenario(asked: Asking) -> None:
        await asked.identify(token)
        keystone.pause()
        asked._timeout = 0.5
        try:
            with pytest.raises(KeystoneUnavailable, match=r"within 0\.5 seconds"):
                await asked.identify(token)
        finally:
            keystone.resume()
        asked._timeout = PATIENCE
        assert (await asked.identify(token)).project == tenant.project

    asking(keystone.url, scenario)


def test_keystone_that_is_killed_and_comes_back_and_tokens_that_expire(
    keystone: Keystone, tenant: Tenant
) -> None:
    token = keystone.token(tenant.user, tenant.project)

    async def scenario(asked: Asking) -> None:
        await asked.identify(token)
        keystone.kill()
        with pytest.raises(KeystoneUnavailable, match="refused"):
            await asked.identify(token)
        # Long enough to be used once on a busy machine, and the gateway's own tokens live no longer.
        keystone.start(expiration=10)
        assert (await asked.identify(token)).project == tenant.project
        short = keystone.token(tenant.user, tenant.project)
        identity = await asked.identify(short)
        assert identity.expires is not None
        await sleep(max(0.0, identity.expires - time()))
        with pytest.raises(AuthenticationFailed):
            await asked.identify(short)
        asked._own, asked._renew_at = short, time() + 100  # its own has expired, and it does not know
        assert (await asked.identify(token)).project == tenant.project

    try:
        asking(keystone.url, scenario)
    finally:
        keystone.kill()
        keystone.start()


# --- servers that are no Keystone -----------------------------------------------------------------


@contextmanager
def answering(post: tuple[int, dict[str, str], bytes], get: tuple[int, bytes]) -> Iterator[str]:
    """A server that always answers so; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(*post)

        def do_GET(self) -> None:
            self._say(get[0], {}, get[1])

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def document(**fields: object) -> bytes:
    told = {
        "expires_at": "2100-01-01T00:00:00.000000Z",
        "user": {"id": "u", "name": "ada"},
        "project": {"id": "p", "name": "one"},
        "roles": [{"id": "r", "name": "Admin"}],
        **fields,
    }
    return json.dumps({"token": told}).encode()


OWN = (201, {"X-Subject-Token": "own"}, document())


def test_what_is_read() -> None:
    with answering(OWN, (200, document())) as url:
        identity = asking(url, lambda asked: asked.identify("token"))
    assert identity == Identity("p", "u", frozenset({"admin"}), 4_102_444_800.0)


@pytest.mark.parametrize(
    ("post", "get"),
    [
        ((300, {}, b""), (200, document())),
        ((500, {}, b""), (200, document())),
        ((201, {}, document()), (200, document())),
        ((201, {"X-Subject-Token": "a b"}, document()), (200, document())),
        ((201, {"X-Subject-Token": "own"}, b"<html>"), (200, document())),
        ((201, {"X-Subject-Token": "own"}, b'{"token": {}}'), (200, document())),
        (OWN, (500, b"")),
        (OWN, (503, document())),
        (OWN, (302, b"")),
        (OWN, (401, b"")),
        (OWN, (429, b"")),
        (OWN, (200, b"")),
        (OWN, (200, b"[]")),
        (OWN, (200, b"\xff")),
        (OWN, (200, document(expires_at="soon"))),
        (OWN, (200, document(expires_at=5))),
        (OWN, (200, document(project=["p"]))),
        (OWN, (200, document(roles={"name": "admin"}))),
        (OWN, (200, document() + b" " * 2_000_000)),
    ],
)
def test_nonsense_is_no_answer(post: tuple[int, dict[str, str], bytes], get: tuple[int, bytes]) -> None:
    with answering(post, get) as url, pytest.raises(KeystoneUnavailable) as caught:
        asking(url, lambda asked: asked.identify("secret-token"))
    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"project": None},
        {"project": {"id": ""}},
        {"project": {"id": "a\nb"}},
        {"project": {"id": "x" * 257}},
        {"expires_at": "2001-01-01T00:00:00Z"},
    ],
)
def test_tokens_that_speak_for_nobody_here(fields: dict[str, object]) -> None:
    with answering(OWN, (200, document(**fields))) as url, pytest.raises(AuthenticationFailed):
        asking(url, lambda asked: asked.identify("token"))


# --- settings -------------------------------------------------------------------------------------


def test_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from a file\nand a note\n")
    found = settings(tmp_path, "http://host", keystone_password=None, keystone_password_file=path)
    assert json.loads(credentials(found))["auth"]["identity"]["password"]["user"] == {
        "name": "zaqar",
        "domain": {"name": "Default"},
        "password": "from a file",
    }


@pytest.mark.parametrize("content", [None, b"", b"\nsecret\n", b"\xff\n"])
def test_file_without_a_password_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    found = settings(tmp_path, "http://host", keystone_password=None, keystone_password_file=path)
    with pytest.raises(SettingsError, match=r"^keystone_password_file: "):
        make_keystone(reactor, found)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"keystone_auth_url": None}, "keystone_auth_url"),
        ({"keystone_password": None}, "keystone_password_file"),
        ({"keystone_ca_file": Path("/nowhere/ca.pem")}, "keystone_ca_file"),
        ({"keystone_ca_file": Path(__file__)}, "keystone_ca_file"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        make_keystone(reactor, settings(tmp_path, **{"url": "http://host", **changes}))

"""Keystone says whom a token speaks for (its API version 3, `/v3/auth/tokens`)."""

from __future__ import annotations

import json
import re
from datetime import datetime
from time import time
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.auth.authenticator import Authenticator
from gateway.auth.identity import Identity
from gateway.auth.revocable import RevocableTokens
from gateway.http.client import HttpAnswer, HttpClient, HttpError
from gateway.logs import get_logger
from gateway.settings import Settings, SettingsError
from gateway.settings.passwords import read_password
from protocol.errors import AuthenticationFailed, BadRequest, Unavailable
from protocol.names import check_project
from storage.shared_work import SharedWork

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
"""What a token may be: it goes into a header."""

_MARGIN = 60.0
"""Seconds before the gateway's own token expires that it gets another; of a short one, half its life."""

_PATIENCE = 5.0
"""Seconds for which refused credentials are not tried again: Keystone may lock who fails too often."""

log = get_logger(__name__)


class KeystoneUnavailable(Unavailable):
    """Keystone does not say whom a token speaks for."""

    code = "keystone_unavailable"


class _Named(Struct):
    id: str = ""
    name: str = ""


class _Token(Struct):
    expires_at: datetime
    user: _Named = msgspec.field(default_factory=_Named)
    project: _Named | None = None
    roles: list[_Named] = []


class _Document(Struct):
    token: _Token


def make_keystone(reactor: Any, settings: Settings) -> Authenticator:
    """What the settings ask for. Raises SettingsError."""
    if settings.keystone_auth_url is None:
        raise SettingsError("keystone_auth_url: is not set, and auth keystone needs it; allowed: its URL")
    try:
        ca_file = settings.keystone_ca_file
        http = HttpClient(reactor, ca_file=ca_file)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(
            f"keystone_ca_file: {settings.keystone_ca_file}: cannot be read: {reason}"
        ) from None
    except ValueError as error:
        raise SettingsError(f"keystone_ca_file: {error}") from None
    keystone = Keystone(http, settings.keystone_auth_url, credentials(settings), settings.keystone_timeout)
    return RevocableTokens(reactor, keystone, settings.keystone_cache)


def credentials(settings: Settings) -> bytes:
    """The body of the request for the gateway's own token. Raises SettingsError."""
    user = {
        "name": settings.keystone_username,
        "domain": {"name": settings.keystone_user_domain},
        "password": read_password(
            "keystone_password", settings.keystone_password, settings.keystone_password_file, "auth keystone"
        ),
    }
    project = {"name": settings.keystone_project, "domain": {"name": settings.keystone_project_domain}}
    identity = {"methods": ["password"], "password": {"user": user}}
    return json.dumps({"auth": {"identity": identity, "scope": {"project": project}}}).encode()


class Keystone:
    """Asks about each token, with a token of its own, which it renews.

    :param url: without `/v3`.
    :param credentials: the body of the request for its own token.
    :param timeout: seconds for each answer.
    """

    def __init__(self, http: HttpClient, url: str, credentials: bytes, timeout: float) -> None:
        self._http = http
        self._url = f"{url}/v3/auth/tokens"
        self._credentials = credentials
        self._timeout = timeout
        self._own: str | None = None
        self._renew_at = 0.0
        self._refused_at: float | None = None
        self._renewing: SharedWork[Literal["own"], str] = SharedWork()

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for, in its project. AuthenticationFailed, KeystoneUnavailable."""
        if not _TOKEN.fullmatch(token):
            raise AuthenticationFailed("not a token")
        answer = await self._look_up(token)
        if answer.status == 404:
            raise AuthenticationFailed("unknown to Keystone")
        if answer.status != 200:
            raise _refused("did not look at a token", answer.status)
        return _identity(_read(answer).token)

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()

    async def _look_up(self, token: str) -> HttpAnswer:
        own = await self._own_token()
        answer = await self._show(own, token)
        if answer.status == 401:  # its own token is not good any more
            if self._own == own:
                self._own = None
            answer = await self._show(await self._own_token(), token)
        return answer

    async def _show(self, own: str, token: str) -> HttpAnswer:
        headers = {"X-Auth-Token": own, "X-Subject-Token": token, "Accept": "application/json"}
        return await self._request("GET", f"{self._url}?nocatalog", headers)

    async def _own_token(self) -> str:
        if self._own is not None and time() < self._renew_at:
            return self._own
        return await self._renewing.join("own", self._renew, lambda _: None)

    async def _renew(self) -> str:
        now = time()
        if self._refused_at is not None and 0 <= now - self._refused_at < _PATIENCE:
            raise KeystoneUnavailable("Keystone has refused the gateway's own credentials.")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        answer = await self._request("POST", f"{self._url}?nocatalog", headers, self._credentials)
        if answer.status != 201:
            self._refused_at = time() if answer.status < 500 else None
            raise _refused("gave the gateway no token", answer.status)
        self._refused_at = None
        own = answer.headers.get("x-subject-token", "")
        if not _TOKEN.fullmatch(own):
            raise KeystoneUnavailable("Keystone gave the gateway no token.")
        left = _read(answer).token.expires_at.timestamp() - now
        self._own, self._renew_at = own, now + max(left - _MARGIN, left / 2)
        return own

    async def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpAnswer:
        try:
            return await self._http.request(method, url, headers=headers, body=body, timeout=self._timeout)
        except HttpError as error:
            raise KeystoneUnavailable(f"Keystone cannot be asked: {error}") from error


def _identity(token: _Token) -> Identity:
    if token.project is None:
        raise AuthenticationFailed("without a project")
    try:
        check_project(token.project.id)
    except BadRequest:
        raise AuthenticationFailed("with a project that has no legal id") from None
    expires = token.expires_at.timestamp()
    if expires <= time():
        raise AuthenticationFailed("expired")
    roles = frozenset(role.name.lower() for role in token.roles)
    return Identity(token.project.id, token.user.id, roles, expires)


def _read(answer: HttpAnswer) -> _Document:
    try:
        return msgspec.json.decode(answer.body, type=_Document)
    except msgspec.DecodeError:
        # Its text may hold parts of the answer.
        raise KeystoneUnavailable("Keystone's answer cannot be read.") from None


def _refused(what: str, status: int) -> KeystoneUnavailable:
    return KeystoneUnavailable(f"Keystone {what}, and answered {status}.")

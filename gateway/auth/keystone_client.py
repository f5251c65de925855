"""Requests to Keystone (its API version 3), with a token of the gateway's own where one is needed."""

from __future__ import annotations

import json
import re
from datetime import datetime
from time import time
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from gateway.http.client import HttpAnswer, HttpClient, HttpError
from gateway.settings import Settings, SettingsError
from gateway.settings.certificates import reading_certificates
from gateway.settings.passwords import read_password
from protocol.errors import Unavailable
from storage.shared_work import SharedWork

TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
"""What a token may be: it goes into a header."""

_MARGIN = 60.0
"""Seconds before a token expires that another is got; of a short one, half its life."""

_PATIENCE = 5.0
"""Seconds for which refused credentials are not tried again: Keystone may lock who fails too often."""


class KeystoneUnavailable(Unavailable):
    """Keystone does not say or do what it is asked."""

    code = "keystone_unavailable"


class Named(Struct):
    """Something of Keystone's: a user, a project, a role."""

    id: str = ""
    name: str = ""


class Token(Struct):
    """What Keystone says of a token."""

    expires_at: datetime
    user: Named = msgspec.field(default_factory=Named)
    project: Named | None = None
    roles: list[Named] = []


class _Document(Struct):
    token: Token


def open_client(reactor: Any, settings: Settings) -> KeystoneClient:
    """A client of the Keystone of the settings. Raises SettingsError."""
    if settings.keystone_auth_url is None:
        raise SettingsError("keystone_auth_url: is not set, and auth keystone needs it; allowed: its URL")
    http = open_http(reactor, settings)
    return KeystoneClient(http, settings.keystone_auth_url, credentials(settings), settings.keystone_timeout)


def open_http(reactor: Any, settings: Settings) -> HttpClient:
    """Connections to the Keystone of the settings. Raises SettingsError."""
    with reading_certificates("keystone_ca_file", settings.keystone_ca_file):
        return HttpClient(reactor, ca_file=settings.keystone_ca_file)


def user_and_password(settings: Settings) -> dict[str, Any]:
    """How the gateway itself authenticates: the `identity` of a request for a token. Raises SettingsError."""
    user = {
        "name": settings.keystone_username,
        "domain": {"name": settings.keystone_user_domain},
        "password": read_password(
            "keystone_password", settings.keystone_password, settings.keystone_password_file, "auth keystone"
        ),
    }
    return {"methods": ["password"], "password": {"user": user}}


def credentials(settings: Settings) -> bytes:
    """The body of the request for the gateway's own token. Raises SettingsError."""
    project = {"name": settings.keystone_project, "domain": {"name": settings.keystone_project_domain}}
    auth = {"identity": user_and_password(settings), "scope": {"project": project}}
    return json.dumps({"auth": auth}).encode()


class KeystoneClient:
    """Asks Keystone, with a token of its own, which it renews.

    :param url: without `/v3`.
    :param credentials: the body of the request for its own token.
    :param timeout: seconds for each answer.
    """

    def __init__(self, http: HttpClient, url: str, credentials: bytes, timeout: float) -> None:
        self._http = http
        self._url = f"{url}/v3"
        self._credentials = credentials
        self._timeout = timeout
        self._own: str | None = None
        self._own_user = ""
        self._renew_at = 0.0
        self._refused_at: float | None = None
        self._renewing: SharedWork[Literal["own"], str] = SharedWork()

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()

    async def own_user(self) -> str:
        """The id of the user that the gateway itself is. KeystoneUnavailable."""
        await self._own_token()
        return self._own_user

    async def renew(self) -> None:
        """Get another token of its own, which its credentials have to be good for. KeystoneUnavailable."""
        await self._renewing.join("own", self._renew, lambda _: None)

    async def ask_as_itself(self, path: str, headers: dict[str, str] | None = None) -> HttpAnswer:
        """The answer to a GET with its own token. KeystoneUnavailable if there is none."""
        own = await self._own_token()
        answer = await self.ask("GET", path, {"X-Auth-Token": own, **(headers or {})})
        if answer.status == 401:  # its own token is not good any more
            if self._own == own:
                self._own = None
            own = await self._own_token()
            answer = await self.ask("GET", path, {"X-Auth-Token": own, **(headers or {})})
        return answer

    async def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpAnswer:
        """The answer to a request, whatever its status. KeystoneUnavailable if there is none.

        :param path: below `/v3`.
        :param body: JSON.
        """
        sent = {**headers, "Accept": "application/json"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        url = self._url + path
        try:
            return await self._http.request(method, url, headers=sent, body=body, timeout=self._timeout)
        except HttpError as error:
            raise KeystoneUnavailable(f"Keystone cannot be asked: {error}") from error

    async def _own_token(self) -> str:
        if self._own is not None and time() < self._renew_at:
            return self._own
        return await self._renewing.join("own", self._renew, lambda _: None)

    async def _renew(self) -> str:
        now = time()
        if self._refused_at is not None and 0 <= now - self._refused_at < _PATIENCE:
            raise KeystoneUnavailable("Keystone has refused the gateway's own credentials.")
        answer = await self.ask("POST", "/auth/tokens?nocatalog", {}, self._credentials)
        if answer.status != 201:
            self._refused_at = time() if answer.status < 500 else None
            raise refused("gave the gateway no token", answer.status)
        self._refused_at = None
        own, token = given_token(answer)
        self._own, self._renew_at = own, now + usable_for(token, now)
        self._own_user = token.user.id
        return own


def given_token(answer: HttpAnswer) -> tuple[str, Token]:
    """The token that an answer brings, and what it says of it. KeystoneUnavailable."""
    text = answer.headers.get("x-subject-token", "")
    if not TOKEN.fullmatch(text):
        raise KeystoneUnavailable("Keystone gave the gateway no token.")
    return text, read_token(answer)


def usable_for(token: Token, now: float) -> float:
    """Seconds for which a token is used; then it is time for another."""
    left = token.expires_at.timestamp() - now
    return max(left - _MARGIN, left / 2)


def read_token(answer: HttpAnswer) -> Token:
    """What an answer says of a token. KeystoneUnavailable."""
    try:
        return msgspec.json.decode(answer.body, type=_Document).token
    except msgspec.DecodeError:
        # Its text may hold parts of the answer.
        raise KeystoneUnavailable("Keystone's answer cannot be read.") from None


def refused(what: str, status: int) -> KeystoneUnavailable:
    """What is raised when Keystone answers something else than it should."""
    return KeystoneUnavailable(f"Keystone {what}, and answered {status}.")

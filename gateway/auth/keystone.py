"""Keystone says whom a token speaks for (its API version 3, `/v3/auth/tokens`)."""

from __future__ import annotations

from time import time
from typing import Any

from gateway.auth.authenticator import Authenticator
from gateway.auth.identity import Identity
from gateway.auth.keystone_client import (
    TOKEN,
    KeystoneClient,
    Token,
    credentials,
    open_http,
    read_token,
    refused,
)
from gateway.auth.revocable import RevocableTokens
from gateway.settings import Settings, SettingsError
from protocol.errors import AuthenticationFailed, BadRequest
from protocol.names import check_project


def make_keystone(reactor: Any, settings: Settings) -> Authenticator:
    """What the settings ask for. Raises SettingsError."""
    if settings.keystone_auth_url is None:
        raise SettingsError("keystone_auth_url: is not set, and auth keystone needs it; allowed: its URL")
    http = open_http(reactor, settings)
    keystone = Keystone(http, settings.keystone_auth_url, credentials(settings), settings.keystone_timeout)
    return RevocableTokens(reactor, keystone, settings.keystone_cache)


class Keystone(KeystoneClient):
    """Asks about each token."""

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for, in its project. AuthenticationFailed, KeystoneUnavailable."""
        if not TOKEN.fullmatch(token):
            raise AuthenticationFailed("not a token")
        answer = await self.ask_as_itself("/auth/tokens?nocatalog", {"X-Subject-Token": token})
        if answer.status == 404:
            raise AuthenticationFailed("unknown to Keystone")
        if answer.status != 200:
            raise refused("did not look at a token", answer.status)
        return _identity(read_token(answer))


def _identity(token: Token) -> Identity:
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

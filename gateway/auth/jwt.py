"""JSON Web Tokens (RFC 7519): whom a token speaks for stands in it, and its signature proves that.

A signature is checked in the reactor, in 50 to 120 µs, of which a thread would save little; and it is checked
only when a socket authenticates, so nothing is cached either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import jwt

from gateway.auth.claims import Claims
from gateway.auth.identity import Identity
from gateway.auth.keys import Keys, UnfitKey, read_keys
from gateway.auth.published_keys import PublishedKeys
from gateway.http.client import HttpClient
from gateway.operator_file import OperatorFile
from gateway.settings import Settings, SettingsError
from protocol.errors import AuthenticationFailed

MAX_TOKEN: Final = 8_192
"""Characters of a token; longer ones are not looked at."""


class KeySource(Protocol):
    """Where keys come from."""

    async def find(self, kid: str | None) -> Any | None:
        """The key that a token means, or None. Unavailable: it cannot be told now."""

    async def stop(self) -> None:
        """End what is under way."""


class KeyFile(OperatorFile):
    """Keys of an algorithm in a file. Raises SettingsError if they cannot be read or used."""

    def __init__(self, path: Path, algorithm: str) -> None:
        self._algorithm = algorithm
        super().__init__("jwt_key_file", path)

    def _load(self) -> None:
        self._keys = _read(self._path, self._algorithm)

    async def find(self, kid: str | None) -> Any | None:
        """The key that a token means, or None."""
        return self._keys.find(kid)

    async def stop(self) -> None:
        """Nothing is under way."""


class JWTAuthenticator:
    """Takes tokens that are signed with one algorithm, which the operator has chosen and no token can."""

    def __init__(self, settings: Settings, keys: KeySource) -> None:
        self._algorithm = settings.jwt_algorithm
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._leeway = settings.jwt_leeway
        self._claims = Claims(settings)
        self._keys = keys
        required = {"exp": True, "iss": self._issuer is not None, "aud": self._audience is not None}
        self._required = [claim for claim, needed in required.items() if needed]

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for. AuthenticationFailed; Unavailable if there are no keys now."""
        if len(token) > MAX_TOKEN:
            raise AuthenticationFailed("too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != self._algorithm:
                raise AuthenticationFailed("algorithm")
            key = await self._keys.find(header.get("kid"))
            if key is None:
                raise AuthenticationFailed("unknown key")
            claims = jwt.decode(
                token,
                key,
                algorithms=[self._algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": self._required},
            )
        except (jwt.PyJWTError, ValueError) as error:  # ValueError: not ASCII
            raise AuthenticationFailed(type(error).__name__) from None
        return self._claims.identity(claims)

    async def stop(self) -> None:
        """Stop looking for keys."""
        await self._keys.stop()


def make_jwt_authenticator(reactor: Any, settings: Settings, files: list[OperatorFile]) -> JWTAuthenticator:
    """What the settings ask for. Raises SettingsError if the keys cannot be read or used.

    :param files: the file that the keys are in is added here.
    """
    if settings.jwt_keys_url is None:
        assert settings.jwt_key_file is not None  # there is either
        key_file = KeyFile(settings.jwt_key_file, settings.jwt_algorithm)
        files.append(key_file)
        return JWTAuthenticator(settings, key_file)
    published = PublishedKeys(
        HttpClient(reactor),
        settings.jwt_keys_url,
        reactor.seconds,
        settings.jwt_algorithm,
        settings.jwt_keys_max_age,
    )
    published.start()
    return JWTAuthenticator(settings, published)


def _read(path: Path, algorithm: str) -> Keys:
    try:
        return read_keys(path.read_bytes(), algorithm)
    except OSError as error:
        raise SettingsError(f"jwt_key_file: {path} cannot be read: {error.strerror or error}") from None
    except UnfitKey as error:
        raise SettingsError(
            f"jwt_key_file: {path} cannot be used with jwt_algorithm {algorithm}: {error}"
        ) from None

"""The ways to authenticate that are on, as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.auth.authenticator import Authenticator
from gateway.auth.identity import Identity
from gateway.auth.jwt import make_jwt_authenticator
from gateway.auth.keystone import make_keystone
from gateway.operator_file import OperatorFile
from gateway.settings import Settings

_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
"""JWS compact serialization (RFC 7515 section 7.1)."""

Maker = Callable[[Any, Settings, list[OperatorFile]], Authenticator]
"""Makes an authenticator of the reactor and the settings, and adds the files that it goes by to the list.

Raises SettingsError for what cannot be used.
"""

MAKERS: Mapping[str, Maker] = {
    "jwt": make_jwt_authenticator,
    "keystone": lambda reactor, settings, files: make_keystone(reactor, settings),
}
"""By the names of gateway.settings.authentication.METHODS."""


def make_authenticator(reactor: Any, settings: Settings, files: list[OperatorFile]) -> Authenticator | None:
    """What the setting `auth` asks for; None: nobody has to authenticate. Raises SettingsError.

    :param files: those that it goes by, and that can be read again, are added here.
    """
    made = {method: MAKERS[method](reactor, settings, files) for method in settings.auth_methods}
    jwt = made.pop("jwt", None)
    if not made:
        return jwt
    (other,) = made.values()
    return other if jwt is None else ByForm(jwt, other)


class ByForm:
    """Two ways: a token that has the form of a JWS goes to `jwt`, any other to `other`.

    So no token is shown to who has nothing to do with it, and none is tried twice.
    """

    def __init__(self, jwt: Authenticator, other: Authenticator) -> None:
        self._jwt = jwt
        self._other = other

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for. AuthenticationFailed, Unavailable."""
        return await (self._jwt if _JWS.fullmatch(token) else self._other).identify(token)

    async def stop(self) -> None:
        """Stop both."""
        await self._jwt.stop()
        await self._other.stop()

"""What finds out whom a token speaks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.auth.identity import Identity
from protocol.errors import AuthenticationFailed, RequestError


class Authenticator(Protocol):
    """One way to authenticate, as the operator has chosen it."""

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for. It has not expired.

        AuthenticationFailed if it speaks for nobody; Unavailable if who decides that does not answer.
        """

    async def stop(self) -> None:
        """End what was started, at the latest when the node stops."""


async def identify_and_count(
    authenticator: Authenticator, token: str, count: Callable[[str], None]
) -> Identity:
    """Whom the token speaks for. AuthenticationFailed, Unavailable.

    :param count: is told the outcome: `accepted`, `refused`, or `unavailable` where nobody could decide.
    """
    try:
        identity = await authenticator.identify(token)
    except AuthenticationFailed:
        count("refused")
        raise
    except RequestError:
        count("unavailable")
        raise
    count("accepted")
    return identity

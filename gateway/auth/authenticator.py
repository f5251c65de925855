"""What finds out whom a token speaks for."""

from __future__ import annotations

from typing import Protocol

from gateway.auth.identity import Identity


class Authenticator(Protocol):
    """One way to authenticate, as the operator has chosen it."""

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for. It has not expired.

        AuthenticationFailed if it speaks for nobody; Unavailable if who decides that does not answer.
        """

    async def stop(self) -> None:
        """End what was started, at the latest when the node stops."""

"""Tokens that come with the WebSocket handshake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BEARER = "bearer."
"""What a subprotocol begins with that is a token: browsers can set no header, but offer subprotocols."""


def handshake_token(headers: Mapping[str, str], subprotocols: Sequence[str]) -> str | None:
    """The token of a handshake, or None. It is never looked for in the URL, which ends up in logs.

    :param headers: with names in lower case. `Authorization: Bearer` comes before `X-Auth-Token`.
    :param subprotocols: those that were offered; one that is a token comes after the headers.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    if headers.get("x-auth-token"):
        return headers["x-auth-token"]
    for name in subprotocols:
        if name.startswith(BEARER):
            return name.removeprefix(BEARER)
    return None

"""WebSocket close codes (RFC 6455 section 7.4), and what a client does about them."""

from __future__ import annotations

from typing import Final

INVALID_TEXT: Final = 1007
"""A text frame is not UTF-8."""

FRAME_TOO_LARGE: Final = 1009
"""A frame exceeds the limit."""

INTERNAL_ERROR: Final = 1011
"""The gateway failed on the connection; come back after a while."""

SERVICE_RESTART: Final = 1012
"""The node stops; come back after a random while."""

AUTHENTICATION_FAILED: Final = 4001
"""The token of the handshake speaks for nobody."""

AUTHENTICATION_TIMEOUT: Final = 4002
"""Nobody has authenticated in time."""

AUTHENTICATION_EXPIRED: Final = 4003
"""The token has expired (protocol.md section 3)."""

TOO_MANY_REFUSED_TOKENS: Final = 4004
"""One token after the other was refused."""

AUTHENTICATION_UNAVAILABLE: Final = 4101
"""Who decides about the token of the handshake does not answer; come back after a while."""

TOO_MANY_SOCKETS: Final = 4102
"""The project of the token has as many sockets as it may; come back after a while."""

DO_NOT_RECONNECT: Final = range(4000, 4100)
"""Do not reconnect unchanged."""

RECONNECT_LATER: Final = range(4100, 4200)
"""Reconnect after a back-off."""

RECONNECT_AT_ONCE: Final = range(4200, 4300)
"""Reconnect at once."""

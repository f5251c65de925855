"""What a client may agree on beyond Zaqar's protocol, by a subprotocol (RFC 6455 section 1.9)."""

from __future__ import annotations

from typing import Final

SUBPROTOCOL: Final = "zaqar-gateway.v1"
"""The name that client and server agree on in the handshake. Without it a socket is as Zaqar's are."""

NOW: Final = "now"
EARLIEST: Final = "earliest"
"""From where a subscription begins, beside markers."""

FEATURES: Final = ("request_id", "no_echo", "positions", "resume", "dedup_id", "notices")
"""What it brings, as `describe` tells it, so that a client need not know versions."""

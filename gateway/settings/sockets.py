"""Sockets: settings."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.settings.kinds import boolean, integer, seconds
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Sockets:
    """Sockets."""

    max_frame_bytes: int = setting(
        1_048_576, integer(1024, 67_108_864), "largest WebSocket message that is taken, bytes"
    )
    max_requests_in_flight: int = setting(
        64, integer(1, 4096), "requests of one socket that may wait; beyond, the socket is not read"
    )
    handshake_timeout: float = setting(
        10.0,
        seconds(0.1, 300),
        "seconds a client has for the WebSocket handshake, and for each request of plain HTTP",
    )
    ping_interval: int = setting(
        30, integer(0, 3600), "seconds from a sign of life of a socket to the next ping; 0 sends none"
    )
    ping_timeout: int = setting(
        60, integer(0, 3600), "seconds of silence after a ping that end a socket; 0 ends none"
    )
    lease_grace: float = setting(
        5.0,
        seconds(0.1, 3600),
        "seconds for which the leases of a closed socket wait for its client to come back",
    )
    compression: bool = setting(
        False, boolean(), "compress messages of 512 bytes and more to clients that offer permessage-deflate"
    )
    fast_path: bool = setting(
        True, boolean(), "take plain WebSocket frames past Autobahn, at a fraction of the CPU"
    )

"""An open WebSocket that is quiet keeps little in memory.

Autobahn gives each connection some sixty attributes, most of which say that nothing has happened yet, and keeps
the handshake. Here the class says that nothing has happened, and once the handshake is done each connection
lets go of what says the same, and of the handshake. What happens later it writes down as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator

_HANDSHAKE = frozenset(
    {
        *("_transport_details", "_wskey", "http_headers", "http_request_data", "http_request_host"),
        *("http_request_params", "http_request_path", "http_request_uri", "http_response_data"),
        *("http_status_line", "websocket_extensions", "websocket_origin", "websocket_protocols"),
        # Those who want to know are told by onOpen and onClose.
        *("is_closed", "is_open"),
        # Empty ones stand in the class, or are made when they are wanted.
        *("_results", "_valid_events", "send_queue", "trafficStats", "utf8validator"),
        *("websocket_extensions_in_use",),
    }
)


class _Nobody:
    """A Deferred that nobody waits for."""

    def callback(self, result: object) -> None:
        """Nobody hears it."""


class AtRest(WebSocketServerProtocol):
    """A connection whose class holds the initial state of an open one (Autobahn's `_connectionMade`)."""

    is_closed = is_open = _Nobody()  # type: ignore[assignment]  # Autobahn calls nothing else of it
    _transport_details = None
    _valid_events = ("message",)
    _results: Mapping[str, Any] = MappingProxyType({"message": None})
    _perMessageCompress = None
    trackedTimings = None
    trafficStats = TrafficStats()  # of all together
    send_state = WebSocketServerProtocol.SEND_STATE_GROUND
    data = b""
    send_queue = ()  # only for writes in pieces, which a server does not ask for
    triggered = False
    wasMaxFramePayloadSizeExceeded = wasMaxMessagePayloadSizeExceeded = False
    closedByMe = failedByMe = droppedByMe = wasClean = False
    wasNotCleanReason = None
    wasServerConnectionDropTimeout = wasOpenHandshakeTimeout = wasCloseHandshakeTimeout = False
    wasServingFlashSocketPolicyFile = False
    localCloseCode = localCloseReason = remoteCloseCode = remoteCloseReason = None
    openHandshakeTimeoutCall = closeHandshakeTimeoutCall = None
    autoPingTimeoutCall = autoPingPending = autoPingPendingCall = autoPingPendingSent = None
    autoPingPendingSeq = 0
    websocket_version = 13
    websocket_protocol_in_use = None
    websocket_extensions_in_use = ()
    inside_message = False
    current_frame = None

    @cached_property
    def utf8validator(self) -> Utf8Validator:
        """For text that Autobahn checks piece by piece."""
        return Utf8Validator()

    def rest(self) -> None:
        """Let go of what the class says too, and of the handshake, which is done."""
        kind = type(self)
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            # Identity: the values are None, booleans, small integers, and what the class was made with.
            if name not in _HANDSHAKE and getattr(kind, name, self) is not value
        }

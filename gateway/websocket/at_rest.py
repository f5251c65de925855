"""An open WebSocket that is quiet keeps little in memory.

Autobahn gives each connection some sixty attributes, most of which say that nothing has happened yet, and
keeps the handshake. Here the class says that nothing has happened, and once the handshake is done each
connection lets go of what says the same, and of the handshake. What happens later it writes down as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.utf8validator import Utf8Validator


class _Nobody:
    """A Deferred that nobody waits for."""

    def callback(self, result: object) -> None:
        """Nobody hears it."""


def _false(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, False)


def _none(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names)


AT_REST: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **_false("closedByMe", "droppedByMe", "failedByMe", "inside_message", "triggered", "wasClean"),
        **_false("wasCloseHandshakeTimeout", "wasMaxFramePayloadSizeExceeded"),
        **_false("wasMaxMessagePayloadSizeExceeded", "wasOpenHandshakeTimeout"),
        **_false("wasServerConnectionDropTimeout", "wasServingFlashSocketPolicyFile"),
        **_none("autoPingPending", "autoPingPendingCall", "autoPingPendingSent", "autoPingTimeoutCall"),
        **_none("closeHandshakeTimeoutCall", "openHandshakeTimeoutCall", "current_frame"),
        **_none("localCloseCode", "localCloseReason", "remoteCloseCode", "remoteCloseReason"),
        **_none("trackedTimings", "wasNotCleanReason", "websocket_protocol_in_use"),
        **_none("_perMessageCompress", "_transport_details"),
        "autoPingPendingSeq": 0,
        "data": b"",
        "send_state": WebSocketServerProtocol.SEND_STATE_GROUND,
        "websocket_version": 13,
        # Nothing can be added to these: for writes in pieces, which a server does not ask for; extensions,
        # of which it agrees on none; and listeners, who are called directly.
        "send_queue": (),
        "websocket_extensions_in_use": (),
        "_results": MappingProxyType({"message": None}),
        "_valid_events": ("message",),
        # onOpen and onClose tell who wants to know.
        "is_closed": _Nobody(),
        "is_open": _Nobody(),
        # Made when Autobahn checks a text piece by piece.
        "utf8validator": cached_property(lambda socket: Utf8Validator()),
    }
)
"""The attributes of a class whose connections can `let_go`: what Autobahn's `_connectionMade` begins with."""

_HANDSHAKE = frozenset(
    {
        *("_wskey", "http_headers", "http_request_data", "http_request_host", "http_request_params"),
        *("http_request_path", "http_request_uri", "http_response_data", "http_status_line"),
        *("websocket_extensions", "websocket_origin", "websocket_protocols"),
    }
)

_REPLACED = frozenset(
    {
        *("_results", "_transport_details", "_valid_events", "is_closed", "is_open", "send_queue"),
        *("trafficStats", "utf8validator", "websocket_extensions_in_use"),
    }
)


def let_go(socket: WebSocketServerProtocol) -> None:
    """Drop what the socket's class says too, and the handshake, which is done.

    The class has the attributes of AT_REST and a `trafficStats` for all its sockets.
    """
    kind = type(socket)
    socket.__dict__ = {
        name: value
        for name, value in vars(socket).items()
        # Identity is enough: these are None, booleans, small integers, and what the class was made with.
        if not (name in _HANDSHAKE or name in _REPLACED or getattr(kind, name, socket) is value)
    }

"""WebSocket frames as bytes (RFC 6455 section 5)."""

from __future__ import annotations

import struct

from protocol.codec import Form

try:
    from websockets.speedups import apply_mask as unmask
except ImportError:  # it is not compiled for this platform
    from websockets.utils import apply_mask as unmask

__all__ = ["BINARY", "FIN", "MASKED", "TEXT", "announced_size", "make_frame", "opcode", "unmask"]

TEXT = 1
BINARY = 2


FIN = 0x80
MASKED = 0x80

_MSGPACK = Form.MSGPACK
_MEDIUM = struct.Struct(">BBH")
_LARGE = struct.Struct(">BBQ")


def opcode(form: Form) -> int:
    """How a form goes over the wire."""
    return BINARY if form is _MSGPACK else TEXT  # a look-up by an enum's member would cost more


def make_frame(kind: int, payload: bytes) -> bytes:
    """A whole message in one frame, as a server sends it: not masked. `kind`: TEXT or BINARY.

    Made once, it can be sent to many.
    """
    size = len(payload)
    if size < 126:
        return bytes((FIN | kind, size)) + payload
    if size < 65_536:
        return _MEDIUM.pack(FIN | kind, 126, size) + payload
    return _LARGE.pack(FIN | kind, 127, size) + payload


def announced_size(data: bytes) -> int:
    """The bytes of payload of the frame that begins here, as far as its head is there (section 5.2)."""
    length = data[1] & 0x7F if len(data) > 1 else 0
    if length < 126:
        return length
    return int.from_bytes(data[2:4] if length == 126 else data[2:10], "big")

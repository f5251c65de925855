"""WebSocket frames as bytes (RFC 6455 section 5)."""

from __future__ import annotations

import struct

from autobahn.websocket import USES_NVX, xormasker

from protocol.codec import Form

TEXT = 1
BINARY = 2


FIN = 0x80
MASKED = 0x80

MASKED_AS_NUMBER = 1500 if USES_NVX else 1 << 62
"""Bytes up to which Python's integers unmask faster than Autobahn: always, if its extension is missing."""

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


def unmask(mask: bytes, payload: bytes) -> bytes:
    """The payload of a client's frame; `mask` has 4 bytes (RFC 6455 section 5.3)."""
    size = len(payload)
    if size > MASKED_AS_NUMBER:
        return xormasker.create_xor_masker(mask, size).process(payload)  # type: ignore[attr-defined,no-any-return]  # found at run time
    repeated = (mask * ((size >> 2) + 1))[:size]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return number.to_bytes(size, "little")

"""Compressed messages (permessage-deflate, RFC 7692), none of which refers to one before it.

So a message is compressed once for all sockets that get it, and a socket that is quiet keeps no window.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept

from gateway.websocket.frames import make_frame

COMPRESS_FROM: Final = 512
"""Bytes of a message from which on it is worth the CPU."""

_RSV1: Final = 0x40
"""Marks a compressed message (RFC 7692 section 6)."""

_TAIL: Final = 4
"""Bytes at the end of what is flushed, which every message would have (section 7.2.1)."""


def accept(offers: Sequence[Any]) -> PerMessageDeflateOfferAccept | None:
    """What is agreed on of what a client offers, or nothing. It is asked to begin each message anew."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(
                offer, request_no_context_takeover=True, no_context_takeover=True
            )
    return None


def takes_compressed(agreed: Any) -> bool:
    """Whether a socket that agreed on this, or on nothing, can read what `make_compressed` makes.

    A client may ask for a smaller window; few do. They are sent nothing compressed, which is always allowed.
    """
    return agreed is not None and agreed.server_max_window_bits == zlib.MAX_WBITS


def make_compressed(kind: int, payload: bytes) -> bytes:
    """A whole message in one frame; compressed, unless it is too small. `kind`: TEXT or BINARY."""
    if len(payload) < COMPRESS_FROM:
        return make_frame(kind, payload)
    # memLevel 8 and level 6, as zlib's defaults: lower ones save less CPU than they cost bytes.
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return make_frame(_RSV1 | kind, compressed[:-_TAIL])

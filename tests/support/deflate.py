"""The client's side of permessage-deflate (RFC 7692), as any client may do it.

::

    with DeflateSocket(gateway.url, "permessage-deflate; client_no_context_takeover") as raw:
        raw.send_compressed(TEXT, b"...")
        assert raw.receive_data().payload == b"..."
"""

from __future__ import annotations

import re
import zlib

from tests.support.raw import Frame, RawSocket, make_frame

_TAIL = b"\x00\x00\xff\xff"


class DeflateSocket(RawSocket):
    """A socket that has offered the extension.

    :param offer: the value of Sec-WebSocket-Extensions.

    `agreed` is what the server answers, empty if it has not agreed. `compressed` counts the messages that
    came compressed, `received` their bytes on the wire.
    """

    def __init__(self, url: str, offer: str) -> None:
        super().__init__(url, handshake=False)
        self.send(self.upgrade_request(Sec_WebSocket_Extensions=offer))
        head = self.receive_head().decode()
        assert head.startswith("HTTP/1.1 101 "), head
        found = re.search(r"(?im)^sec-websocket-extensions: *(.*?)\r?$", head)
        self.agreed = found[1] if found else ""
        self.compressed = 0
        self.received = 0
        self._compressor = self._new_compressor()
        window = re.search(r"server_max_window_bits=(\d+)", self.agreed)
        self._decompressor = zlib.decompressobj(-int(window[1]) if window else -15)

    def _new_compressor(self) -> zlib._Compress:
        window = re.search(r"client_max_window_bits=(\d+)", self.agreed)
        return zlib.compressobj(wbits=-int(window[1]) if window else -15)

    def compress(self, payload: bytes) -> bytes:
        """A message as it stands in its frames (RFC 7692 section 7.2.1)."""
        if "client_no_context_takeover" in self.agreed:
            self._compressor = self._new_compressor()
        return (self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
            _TAIL
        )

    def send_compressed(self, opcode: int, payload: bytes, piece: int = 0) -> None:
        """One message, in fragments of `piece` bytes."""
        data = self.compress(payload)
        parts = [data[i : i + piece] for i in range(0, len(data), piece)] if piece else [data]
        for i, part in enumerate(parts):
            first, last = i == 0, i == len(parts) - 1
            self.send(make_frame(opcode if first else 0, part, fin=last, rsv=4 if first else 0))

    def receive_data(self) -> Frame:
        """The next message, as it was before it was compressed."""
        first, second = self.receive_bytes(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self.receive_bytes(2 if size == 126 else 8), "big")
        payload = self.receive_bytes(size)
        self.received += size
        assert first & 0xB0 == 0x80, "one frame, without other bits"
        if first & 0x40:
            self.compressed += 1
            # The window goes on from message to message, as a client has it that was not promised otherwise.
            payload = self._decompressor.decompress(payload + _TAIL)
        return Frame(first & 0x0F, payload)

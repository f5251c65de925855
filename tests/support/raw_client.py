"""A WebSocket client that does only what it is told: for tests of clients that do not behave (RFC 6455).

It reads nothing unless asked, answers neither pings nor closes, and never closes its end by itself.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import uuid
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

TEXT, CLOSE = 0x1, 0x8
"""Opcodes."""


class RawClient:
    """One socket, its handshake done.

    :param url: `ws://host:port/`.
    :param receive_buffer: bytes that the kernel keeps unread, where that matters.
    :param timeout: seconds that each call may wait for the gateway.
    """

    def __init__(self, url: str, *, receive_buffer: int | None = None, timeout: float = 15.0) -> None:
        parts = urlsplit(url)
        self.headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": f"project-{uuid.uuid4().hex[:12]}"}
        self._received = bytearray()
        self._socket = socket.socket()
        self._socket.settimeout(timeout)
        if receive_buffer is not None:  # before it connects: the window is agreed on then
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((parts.hostname, parts.port))
        self._socket.sendall(
            f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._received:
            self._read_more()
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self._received = bytearray(rest)

    def send(self, action: str, body: dict[str, Any] | None = None) -> None:
        """Send one request. Blocks while the gateway reads nothing and all buffers are full."""
        document: dict[str, Any] = {"action": action, "headers": self.headers}
        if body is not None:
            document["body"] = body
        self.send_bytes(frame(json.dumps(document).encode()))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def receive_frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode and its payload. Raises `ConnectionError` at the end of the stream."""
        opcode, size = self._need(0, 2)
        opcode, at = opcode & 0x0F, 2
        if size >= 126:
            length = 2 if size == 126 else 8
            size = int.from_bytes(self._need(at, length), "big")
            at += length
        payload = self._need(at, size)
        del self._received[: at + size]
        return opcode, payload

    def receive(self) -> Any:
        """The next frame, which must be text: its document."""
        opcode, payload = self.receive_frame()
        assert opcode == TEXT, (opcode, payload[:100])
        return json.loads(payload)

    def request(self, action: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request and return the next frame's document."""
        self.send(action, body)
        return self.receive()

    def close_code(self) -> int:
        """Read up to the close frame and return its code, without answering it."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == CLOSE:
                code: int = struct.unpack(">H", payload[:2])[0]
                return code

    def drop(self) -> None:
        """Close the TCP connection without a word."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def _need(self, at: int, size: int) -> bytes:
        while len(self._received) < at + size:
            self._read_more()
        return bytes(self._received[at : at + size])

    def _read_more(self) -> None:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the gateway closed the connection")
        self._received += data


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A masked frame, whole and unfragmented."""
    if len(payload) < 126:
        head = bytes([0x80 | opcode, 0x80 | len(payload)])
    elif len(payload) < 65_536:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, len(payload))
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, len(payload))
    mask = os.urandom(4)
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(len(payload), "big")

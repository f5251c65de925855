"""A WebSocket and HTTP client that sends any bytes: for frames that a decent library refuses to send.

::

    with RawSocket(gateway.url) as raw:
        raw.send_frame(TEXT, b"\\xff")
        assert raw.receive_close() == 1007

Frames are those of RFC 6455 section 5.2.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.closing import Closing

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Frame(NamedTuple):
    """One frame that the server sent."""

    opcode: int
    payload: bytes


class Ended(Exception):
    """The server ended the connection. `clean` is False where it was reset."""

    def __init__(self, clean: bool) -> None:
        super().__init__("closed" if clean else "reset")
        self.clean = clean


def make_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A frame as it goes over the wire. `length` is what it claims to have, if that is not true."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", first, mask_bit | size)
    elif size < 65_536:
        head = struct.pack(">BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack(">BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = mask * (len(payload) // 4 + 1)
    body = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
    return head + mask + body.to_bytes(len(payload), "big")


class RawSocket(Closing):
    """A TCP connection to a gateway.

    :param url: `ws://host:port/` or `http://host:port`.
    :param handshake: do the WebSocket handshake at once.
    :param timeout: seconds that any wait may take; then `TimeoutError`.
    :param tls: speak TLS with this, to a `wss:` or `https:` URL.
    """

    def __init__(
        self,
        url: str,
        *,
        handshake: bool = True,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.host = f"{parts.hostname}:{parts.port}"
        self.timeout = timeout
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=parts.hostname)
        self._unread = b""
        if handshake:
            self.handshake()

    def handshake(self) -> None:
        """Become a WebSocket."""
        self.send(self.upgrade_request())
        head = self.receive_head()
        assert head.startswith(b"HTTP/1.1 101 "), head

    def upgrade_request(self, **headers: str) -> bytes:
        """A good handshake; keyword arguments replace or add headers, `_` standing for `-`."""
        fields = {
            "Host": self.host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = ["GET / HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode()

    def send(self, data: bytes) -> None:
        """Send bytes as they are. If the server has closed, nothing happens: its words can be read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes = b"", **form: int | bool) -> None:
        """Send one frame; `form` is that of `make_frame`."""
        self.send(make_frame(opcode, payload, **form))  # type: ignore[arg-type]  # each of its own type

    def receive_head(self) -> bytes:
        """The head of an HTTP response, without the empty line at its end."""
        while b"\r\n\r\n" not in self._unread:
            self._fill()
        head, self._unread = self._unread.split(b"\r\n\r\n", 1)
        return head

    def receive_bytes(self, count: int) -> bytes:
        """Exactly so many bytes. Raises `Ended` if the server ends before."""
        while len(self._unread) < count:
            self._fill()
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    def receive_rest(self) -> bytes:
        """All that comes until the server ends the connection in a clean way."""
        try:
            while True:
                self._fill()
        except Ended as end:
            assert end.clean, "the connection was reset"
        data, self._unread = self._unread, b""
        return data

    def receive_frame(self) -> Frame:
        """The next frame. Raises `Ended` if there is none."""
        first, second = self.receive_bytes(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.receive_bytes(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.receive_bytes(8))
        return Frame(first & 0x0F, self.receive_bytes(size))

    def receive_message(self) -> Frame:
        """The next text or binary frame; replies are never fragmented."""
        while True:
            frame = self.receive_frame()
            if frame.opcode in (TEXT, BINARY):
                return frame
            assert frame.opcode in (PING, PONG), frame

    def receive_close(self) -> int:
        """The code of the close frame, which has to be the next but for replies, pings and pongs."""
        while True:
            frame = self.receive_frame()
            if frame.opcode == CLOSE:
                code: int = struct.unpack(">H", frame.payload[:2])[0]
                return code

    def end_sending(self) -> None:
        """Say that nothing more will be sent; what the server sends can still be read."""
        with contextlib.suppress(OSError):  # it may have ended the connection first
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection without a word."""
        self.socket.close()

    def _fill(self) -> None:
        try:
            data = self.socket.recv(262_144)
        except ConnectionResetError:
            raise Ended(clean=False) from None
        if not data:
            raise Ended(clean=True)
        self._unread += data


def http(
    url: str,
    path: str,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One HTTP request on a connection of its own: status, headers with names in lower case, and body."""
    with RawSocket(url, handshake=False, tls=tls) as raw:
        further = [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines = (
            f"{method} {path} HTTP/1.1",
            f"Host: {host or raw.host}",
            "Connection: close",
            *further,
            "",
            "",
        )
        raw.send("\r\n".join(lines).encode())
        return split_response(raw.receive_rest())


def split_response(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a whole HTTP response."""
    head, _, body = response.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status_line.split()[1]), headers, body

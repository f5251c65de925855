"""Whether a peer that does not answer pings is gone: what the kernel knows of its connection (tcp(7))."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOProtocol

_TCP_INFO = struct.Struct("=24xI24xII")
"""tcpi_unacked, tcpi_last_data_recv and tcpi_last_ack_recv of struct tcp_info (linux/tcp.h)."""


def left_of_silence(transport: Any, patience: float) -> float:
    """Seconds that the peer may go on saying nothing; 0 if its time is up.

    It has not been silent, whatever it thinks of pings, if anything at all came from it: half a message, or
    what waits because this side does not read now. And one that does not read now cannot know of the ping,
    which is behind the rest: it is alive as long as its kernel acknowledges what is sent.

    :param patience: seconds of silence that are too many.
    """
    handle = _handle(transport)
    if handle is None:
        return 0.0
    unacknowledged, last_data, last_acknowledgement = _look(handle)
    heard = patience - last_data / 1000
    if heard > 0:
        return heard
    if _waiting(handle, termios.FIONREAD):
        return patience
    if _waiting(handle, termios.TIOCOUTQ) and (not unacknowledged or last_acknowledgement < patience * 1000):
        return patience
    return 0.0


def is_lost(transport: Any, patience: float) -> bool:
    """Whether the peer has acknowledged nothing of what was sent for so many seconds.

    For streams, whose clients have nothing to say: one that is only slow acknowledges all the same.
    """
    handle = _handle(transport)
    if handle is None:
        return False
    unacknowledged, _, last_acknowledgement = _look(handle)
    return unacknowledged > 0 and last_acknowledgement >= patience * 1000


def _handle(transport: Any) -> socket.socket | None:
    """The kernel's socket under a transport; None if there is none."""
    while isinstance(transport, TLSMemoryBIOProtocol):  # its own handle is OpenSSL's
        transport = transport.transport
    get_handle = getattr(transport, "getHandle", None)
    found: socket.socket | None = None if get_handle is None else get_handle()
    return found


def _look(handle: socket.socket) -> tuple[int, int, int]:
    """Segments without acknowledgement; milliseconds since the last data, since the last acknowledgement."""
    info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    unacknowledged, last_data, last_acknowledgement = _TCP_INFO.unpack(info)
    return unacknowledged, last_data, last_acknowledgement


def _waiting(handle: socket.socket, request: int) -> int:
    """Bytes in the kernel's buffer, to be read (FIONREAD) or not yet acknowledged (TIOCOUTQ)."""
    found: int = struct.unpack("=i", fcntl.ioctl(handle.fileno(), request, bytes(4)))[0]
    return found

"""The shortest way out of a socket, for what goes to many sockets at once.

A notification that goes to a thousand sockets costs mostly the kernel's time, and then the time to look at
what each socket is doing: a few objects each, which the processor's cache does not hold. So all that may
stand in the way of a notification is told by one attribute here.
"""

from __future__ import annotations

from typing import Any

from storage.sending import Send, is_empty, plain_send, transmit


class Outlet:
    """A socket's way out.

    :ivar free: the kernel's `send`, where nothing stands in the way of a notification: the socket is open,
        no request is at work, nothing waits to be sent. Whoever puts anything in the way sets it to None;
        a notification that has gone the long way finds out that the way is free again.
    """

    __slots__ = ("_send", "_transport", "free")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._send = plain_send(transport)
        self.free: Send | None = None

    def put(self, frames: bytes) -> bool:
        """Send notifications now, if the way is free. False: nothing was taken."""
        send = self.free
        if send is None:
            return False
        try:
            sent = send(frames)
        except OSError:  # full (EAGAIN), or broken: then the transport finds out, and ends the connection
            sent = 0
        if sent != len(frames):
            self.free = None
            self._transport.write(frames[sent:])
        return True

    def transmit(self, data: bytes) -> None:
        """Into the socket, or behind what waits in the transport: that knows what to do with the rest."""
        transmit(self._transport, self._send, data)

    def look(self) -> None:
        """A notification has gone the long way: the way is free unless some of it waits in the transport."""
        if self._send is not None and is_empty(self._transport):
            self.free = self._send

    def close(self) -> None:
        """The socket is closed, or about to be."""
        self.free = None

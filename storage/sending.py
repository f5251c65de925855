"""Sending at the end of the reactor's turn, and straight into the socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix

Send = Callable[[bytes], int]

_PLAIN = (tcp.Client, tcp.Server, unix.Client, unix.Server)


def at_turn_end(reactor: Any, call: Callable[[], object]) -> None:
    """Call at the end of the reactor's turn (gateway.reactor); on one that has none, before its next turn."""
    later = getattr(reactor, "at_turn_end", None)
    if later is None:
        reactor.callLater(0, call)
    else:
        later(call)


def plain_send(transport: Any) -> Send | None:
    """How to send past a transport: the socket object's own `send`. None where TLS or the like is between.

    Not by the descriptor: one that was closed may soon be somebody else's.
    """
    if type(transport) in _PLAIN and not getattr(transport, "TLS", False):
        send: Send = transport.getHandle().send
        return send
    return None


def is_empty(transport: Any) -> bool:
    """Whether nothing waits in a transport: Twisted has no public word for it. Its buffer is in two parts."""
    return not transport._tempDataBuffer and not transport.dataBuffer


def transmit(transport: Any, send: Send | None, data: bytes) -> None:
    """Send, or put behind what waits in the transport, which knows what to do with the rest."""
    if send is not None and is_empty(transport):
        try:
            sent = send(data)
        except OSError:  # full (EAGAIN), or broken: then the transport finds out, and ends the connection
            sent = 0
        if sent == len(data):
            return
        data = data[sent:]
    transport.write(data)


def flush(transport: Any) -> None:
    """Send what waits in a transport now, where it is plain; what the kernel does not take goes on waiting.

    A transport that is to close is left to the reactor, which closes it when all is sent.
    """
    free = transport.connected and not transport.disconnecting
    if free and plain_send(transport) is not None and not is_empty(transport):
        transport.doWrite()

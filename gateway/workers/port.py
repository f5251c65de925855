"""One port for several processes: the kernel spreads new connections over all that listen (SO_REUSEPORT)."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory

BACKLOG = 1024
"""Connections that wait to be accepted, for each process."""


def reserve(address: str, port: int) -> socket.socket:
    """A socket that takes no connection, and keeps a port that the kernel chose from being chosen again.

    :param port: 0 takes any free one.
    :raises OSError: somebody else listens there, another node of this user too.
    """
    with _bound(address, port, shared=False) as probe:
        # Sockets that share a port share it with all of the same user: only one that does not finds them.
        number = probe.getsockname()[1]
    return _bound(address, number, shared=True)


def listen(reactor: Any, factory: IProtocolFactory, address: str, port: int) -> IListeningPort:
    """Listen beside the other processes of the node. Raises OSError."""
    with _bound(address, port, shared=True) as listening:
        listening.listen(BACKLOG)
        listening.setblocking(False)
        # The reactor makes a descriptor of its own.
        opened: IListeningPort = reactor.adoptStreamPort(listening.fileno(), listening.family, factory)
        return opened


def _bound(address: str, port: int, *, shared: bool) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound

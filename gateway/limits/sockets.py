"""How many sockets a process has: in all, by address, and by project."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from gateway.limits.share import part_of
from gateway.settings import Settings

NETWORK: Final = 64
"""Bits of an IPv6 address that stand for one client: who has one has all of its network (RFC 6177)."""


class Refused(NamedTuple):
    """Why a handshake is refused: the HTTP status, a sentence, and the setting."""

    status: int
    reason: str
    limit: str


class OpenSockets:
    """Counts the sockets of addresses and projects, where those are limited.

    :param share: among how many processes each limit is divided.
    """

    def __init__(self, settings: Settings, share: int = 1) -> None:
        self._most = part_of(settings.max_sockets, share)
        self._most_per_address = part_of(settings.max_sockets_per_address, share)
        self._most_per_project = part_of(settings.max_sockets_per_project, share)
        self._open = 0
        self._by_address: Counter[str] = Counter()
        self._by_project: Counter[str] = Counter()

    @property
    def by_address(self) -> bool:
        """Whether the sockets of an address are counted, so that each has to `leave` in the end."""
        return self._most_per_address > 0

    def opened(self) -> None:
        """A socket is open, or an event stream, which counts as one."""
        self._open += 1

    def closed(self) -> None:
        """It is open no longer."""
        self._open -= 1

    def enter(self, address: str) -> Refused | None:
        """Count a new socket of this IP address beside those that are open; or say why it may not be."""
        if self._most and self._open >= self._most:
            return Refused(503, "The gateway has as many sockets as it may. Try again later.", "max_sockets")
        if self._most_per_address:
            client = client_of(address)
            if self._by_address[client] >= self._most_per_address:
                return Refused(
                    429, "Your address has as many sockets as it may. Close some.", "max_sockets_per_address"
                )
            self._by_address[client] += 1
        return None

    def leave(self, address: str) -> None:
        """A socket of this address that was let in has ended."""
        if self._most_per_address:
            _take_one(self._by_address, client_of(address))

    def enter_project(self, project: str) -> bool:
        """Count a socket for a project, which it then has to leave. False: the project has enough."""
        if self._most_per_project:
            if self._by_project[project] >= self._most_per_project:
                return False
            self._by_project[project] += 1
        return True

    def leave_project(self, project: str) -> None:
        """A counted socket is no longer the project's."""
        if self._most_per_project:
            _take_one(self._by_project, project)


def client_of(address: str) -> str:
    """What stands for the client at an IP address: the address itself, or an IPv6 address's network."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # no IP address at all, such as a Unix socket's
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, NETWORK), strict=False))


def _take_one(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]

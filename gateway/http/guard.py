"""Where the gateway may connect to because a client said so: webhooks, and nothing on the inside.

A client that subscribes a URL makes the gateway send requests from where the gateway stands, behind its
firewalls (server-side request forgery). So names are looked up here, only addresses of the public internet
are connected to, and it is that very address that is connected to: a name that is looked up anew may point
elsewhere by then (DNS rebinding). See docs/compatibility.md, 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address as TCP4
from twisted.internet.address import IPv6Address as TCP6
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
)
from zope.interface import implementer

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS: Final = {"http": 80, "https": 443}
"""The schemes that may be used, with their ports."""

MAX_ADDRESSES: Final = 4
"""Addresses of one name that are tried, one after the other."""

_NAT64: Final = IPv6Network("64:ff9b::/96")

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA gives to the public internet (RFC 3587)."""

_INSIDE: Final[Sequence[Network]] = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3fff::/20"),
)
"""Networks of special use that some versions of Python call global (RFC 6890, 7526, 9637)."""


class Refused(Exception):
    """This may not be connected to. The message says why; it names no address that a name was resolved to."""


class Target(NamedTuple):
    """Where a URL points to."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without brackets."""
    port: int


def target_of(url: str) -> Target:
    """The target of a http or https URL. Raises Refused for any other, and for one with a user in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("This is not a URL.") from None
    if parts.scheme not in PORTS:
        raise Refused("Only http and https URLs can be delivered to.")
    if not host or not host.isprintable() or " " in host:
        raise Refused("The URL names no host.")
    if "@" in parts.netloc:
        raise Refused("A user and a password may not stand in the URL.")
    return Target(parts.scheme, host, PORTS[parts.scheme] if port is None else port)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet. Where IPv6 stands for IPv4, that decides."""
    if isinstance(address, IPv6Address):
        inner = _inside(address)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast and not _among(address, _INSIDE)


def _among(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this IPv6 address may end at (RFC 4291, 6052, 3056, 4380)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or int(address) >> 32 == 0:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        return address.sixtofour
    return None if address.teredo is None else address.teredo[1]


class Guard:
    """Says which addresses may be connected to: public ones, and those that the operator allows."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def allows(self, text: str) -> bool:
        """Whether this address, as text, may be connected to."""
        try:
            # As a whole: only what is an address to the last character is never looked up as a name.
            address = ip_address(text)
        except ValueError:
            return False
        return is_public(address) or _among(address, self._allowed)


@implementer(IResolutionReceiver)
class _Found:
    """Gathers the addresses of a name."""

    def __init__(self) -> None:
        self.done: Deferred[list[str]] = Deferred()
        self._hosts: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do: it can't be stopped in the middle."""

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, TCP4 | TCP6):
            self._hosts.append(address.host)

    def resolutionComplete(self) -> None:
        self.done.callback(self._hosts)


class GuardedEndpoint:
    """A TCP connection to a host, if the guard allows one of its addresses. Implements IStreamClientEndpoint.

    :param timeout: seconds for each address, and for the name.
    :param look_up: finds the addresses of a name; None: Twisted does.
    """

    def __init__(
        self,
        reactor: Any,
        guard: Guard,
        host: str,
        port: int,
        timeout: float,
        look_up: Callable[[str], Deferred[list[str]]] | None = None,
    ) -> None:
        self._reactor = reactor
        self._guard = guard
        self._host = host
        self._port = port
        self._timeout = timeout
        self._look_up = look_up or self._ask_twisted

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect.

        Refused where no address is allowed; ConnectError where none of them answers; DNSLookupError where
        there is none.
        """
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        found = await self._addresses()
        if not found:
            raise DNSLookupError(f"{self._host} was not found.")
        addresses = [each for each in found if self._guard.allows(each)]
        if not addresses:
            raise Refused(f"{self._host} has no address that may be delivered to.")
        failure: Exception | None = None
        for address in addresses[:MAX_ADDRESSES]:
            endpoint = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            try:
                connected: IProtocol = await endpoint(
                    self._reactor, address, self._port, timeout=self._timeout
                ).connect(factory)
            except ConnectError as error:
                failure = error
            except OSError:  # of getaddrinfo: there is no such zone
                failure = DNSLookupError(f"{address} is nowhere on this machine.")
            else:
                return connected
        assert failure is not None
        raise failure

    async def _addresses(self) -> Sequence[str]:
        try:
            return await self._look_up(self._host).addTimeout(self._timeout, self._reactor)
        except TimeoutError:
            raise DNSLookupError(f"{self._host} was not found in time.") from None

    def _ask_twisted(self, host: str) -> Deferred[list[str]]:
        found = _Found()
        self._reactor.nameResolver.resolveHostName(found, host)
        return found.done

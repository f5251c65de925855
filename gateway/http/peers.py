"""Whose connection it is: the client's own address, also behind proxies that the operator trusts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_MARKS_OF_PROXIES = ("x-forwarded-for", "forwarded", "x-real-ip", "via")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of the setting `trusted_proxies`: `10.0.0.0/8`, `::1`. ValueError for what is none."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> str:
    """The IP address that a connection comes from.

    X-Forwarded-For is believed from trusted proxies only, each of which appends whom it was reached by: so
    the rightmost hop that is not trusted is the client, and what stands before it is the client's own claim.
    If all hops are trusted, it is the first.

    :param peer: the address at the other end of the connection.
    :param headers: of the request, names in lower case; several headers of a name joined by commas.
    :param trusted: networks of the proxies.
    :return: the peer's address unless a trusted proxy tells another; also if what it tells is malformed.
    """
    client = _find(peer, headers, trusted) if trusted else None
    return peer if client is None else str(client)


def is_local(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> bool:
    """Whether the client is on this machine for certain.

    Parameters as above. A proxy that is not trusted makes all its clients look as if they were where it is:
    what one seems to have passed on is taken for nobody's.
    """
    at_the_end = _read(peer)
    if at_the_end is None:
        return False
    if not _within(at_the_end, trusted) and any(name in headers for name in _MARKS_OF_PROXIES):
        return False
    client = _find(peer, headers, trusted)
    return client is not None and client.is_loopback


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an IP address is in one of these networks."""
    read = _read(address)
    return read is not None and _within(read, networks)


def _find(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> Address | None:
    """The client's address; None if it cannot be told."""
    client = _read(peer)
    forwarded = headers.get("x-forwarded-for")
    for text in reversed([] if forwarded is None else forwarded.split(",")):
        if client is None or not _within(client, trusted):
            break
        client = _read_hop(text.strip())
    return client


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _read_hop(text: str) -> Address | None:
    """An address as proxies write it: some with a port, IPv6 then in brackets."""
    if text.startswith("["):
        inside, bracket, _ = text[1:].partition("]")
        return _read(inside) if bracket else None
    return _read(text.partition(":")[0] if text.count(":") == 1 else text)


def _read(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # What listens on all addresses sees IPv4 so, and nobody writes networks in that form.
    return getattr(address, "ipv4_mapped", None) or address

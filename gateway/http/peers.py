"""Whose connection it is: the client's own address, also behind proxies that the operator trusts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
    if not trusted:
        return peer
    client = _read(peer)
    if client is None:  # not an IP connection
        return peer
    for text in reversed(headers.get("x-forwarded-for", "").split(",")):
        if not _within(client, trusted):
            break
        hop = _read_hop(text.strip())
        if hop is None:
            return peer
        client = hop
    return str(client)


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

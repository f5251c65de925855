"""The client that fits a URL: of one server, of a Sentinel service's primary, or of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from storage.redis.address import Address, Kind, parse
from storage.redis.client import EventClient, ServerClient, ServerEvents, StoreClient
from storage.redis.cluster import ClusterClient
from storage.redis.cluster_events import ClusterEvents
from storage.redis.link import Target
from storage.redis.sentinel import SentinelPrimary


def store_client(reactor: Any, url: str, timeout: float) -> StoreClient:
    """A client for commands, each answered within `timeout` seconds. Raises AddressError."""
    address = parse(url)
    if address.kind is Kind.CLUSTER:
        return ClusterClient(reactor, address, timeout)
    return ServerClient(reactor, _target(reactor, address), timeout)


def event_client(
    reactor: Any,
    url: str,
    timeout: float,
    on_event: Callable[[bytes, bytes], None],
    on_listening: Callable[[bytes], None],
) -> EventClient:
    """A client for announcements, which finds out within twice `timeout` that a server is gone.

    `on_event` gets a channel and what was announced, `on_listening` a channel that is listened to (again):
    what was announced there before may have been missed. Raises AddressError.
    """
    address = parse(url)
    if address.kind is Kind.CLUSTER:
        return ClusterEvents(reactor, address, timeout, on_event, on_listening)
    return ServerEvents(reactor, _target(reactor, address), timeout, on_event, on_listening)


def _target(reactor: Any, address: Address) -> Target:
    if address.kind is Kind.SENTINEL:
        return SentinelPrimary(reactor, address)
    return Target(reactor, address)

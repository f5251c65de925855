"""A look at a message store before it becomes a pool: whether it is one that messages can be trusted to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, TimeoutError

from protocol.errors import Unavailable
from storage.errors import PoolUnusable, StoreUnavailable
from storage.pools import Durability
from storage.redis.address import Kind, masked, parse
from storage.redis.client import StoreClient
from storage.redis.health import LayoutError, check_layout, look_at_durability
from storage.redis.topology import store_client

CONNECT_TIMEOUT = 3.0
"""Seconds that connecting, and each answer, may take."""

TIMEOUT = 5.0
"""Seconds that all of it may take; closing the connections takes one more at the most."""


async def probe(reactor: Any, url: str) -> Durability:
    """Connect to a store, see that a pool can be on it, and mark it with the layout of its data to be.

    One attempt is made; no connection is left. What the store says of itself is returned.

    :raises AddressError: the URL cannot be used.
    :raises PoolUnusable: nothing answers there, or it throws messages away, takes no writes, or holds data of
        another layout. The message says why, and shows no password.
    """
    parse(url)
    try:
        return await Deferred.fromCoroutine(_look(reactor, url)).addTimeout(TIMEOUT, reactor)
    except TimeoutError:
        problem = f"it did not answer within {TIMEOUT:g} seconds"
    except (Unavailable, LayoutError) as error:
        problem = str(error)
    raise PoolUnusable(f"cannot connect to {masked(url)}: {problem}")


async def _look(reactor: Any, url: str) -> Durability:
    client = store_client(reactor, url, CONNECT_TIMEOUT)
    client.start()
    try:
        await _connect(client)
        seen = await look_at_durability(client)
        if seen.eviction not in ("noeviction", "unknown"):
            raise PoolUnusable(
                f"{masked(url)} cannot be a pool: its maxmemory-policy is {seen.eviction}, so it would throw "
                "messages away when memory is full; set it to noeviction."
            )
        if seen.role == "replica":
            raise PoolUnusable(f"{masked(url)} cannot be a pool: it is a replica; name its primary.")
        if parse(url).kind is not Kind.CLUSTER and await _is_in_cluster(client):
            raise PoolUnusable(
                f"{masked(url)} cannot be a pool by itself: it is a node of a cluster, whose uri begins with "
                "redis+cluster://."
            )
        await check_layout(client)
        return seen
    finally:
        await client.stop()


async def _connect(client: StoreClient) -> None:
    """Connect to every primary that there is. Raises StoreUnavailable if the attempt fails for all."""
    if not client.primaries():  # of a cluster, which has to be asked for them
        await client.connected(CONNECT_TIMEOUT)
    links = [server.link for server in client.primaries()]
    for link in links:
        await link.attempted(CONNECT_TIMEOUT)
    if all(link.connection is None for link in links):
        raise StoreUnavailable(links[0].why.strip() or f"no answer came within {CONNECT_TIMEOUT:g} seconds")


async def _is_in_cluster(client: StoreClient) -> bool:
    text: bytes = await client.execute("INFO", "cluster")
    return b"cluster_enabled:1" in text

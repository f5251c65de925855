"""What a server says of itself: persistence, what it does when memory is full, the layout of its data."""

from __future__ import annotations

from storage.base import Durability
from storage.errors import StoreFailed, StoreUnavailable
from storage.redis.client import StoreClient

LAYOUT = 1
"""The layout of keys and records (lua/common.lua). Versions of the gateway next to each other share one."""

_LAYOUT_KEY = "zg:layout"


class LayoutError(Exception):
    """The data in the store are of a layout that this version does not know."""


async def check_layout(client: StoreClient) -> None:
    """Write the layout into an empty store, or see that it is ours. Raises LayoutError if it is not."""
    found = await client.execute("GET", _LAYOUT_KEY)
    if found is None:  # else nothing is written: a node must be able to start on a store that is full
        await client.execute("SETNX", _LAYOUT_KEY, LAYOUT)
        found = await client.execute("GET", _LAYOUT_KEY)
    if found != b"%d" % LAYOUT:
        raise LayoutError(
            f"The message store holds data of layout {found.decode(errors='replace')}; "
            f"this version of the gateway needs {LAYOUT}."
        )


async def _setting(client: StoreClient, name: str) -> str:
    """One setting, `unknown` where the server does not tell (managed servers forbid CONFIG)."""
    try:
        reply = await client.execute("CONFIG", "GET", name)
    except StoreUnavailable:
        raise
    except StoreFailed:
        return "unknown"
    return reply[1].decode() if reply else "unknown"


async def look_at_durability(client: StoreClient) -> Durability:
    """Ask the server for its version, role, persistence and memory policy."""
    text: bytes = await client.execute("INFO", "server")
    text += await client.execute("INFO", "replication")
    text += await client.execute("INFO", "persistence")
    facts = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    if facts.get("loading", "0") != "0":  # it answers INFO all the same
        raise StoreUnavailable("The message store is still loading its data.", code="store_loading")
    if "valkey_version" in facts:
        server = f"valkey {facts['valkey_version']}"
    else:
        server = f"redis {facts.get('redis_version', 'unknown')}"
    role = {"master": "primary", "slave": "replica"}.get(facts.get("role", ""), "unknown")
    appendonly = await _setting(client, "appendonly")
    persistence = await _setting(client, "appendfsync") if appendonly == "yes" else "off"
    if appendonly == "unknown":
        persistence = "unknown"
    return Durability(server, persistence, await _setting(client, "maxmemory-policy"), role)

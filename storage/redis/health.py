"""What a server says of itself: persistence, what it does when memory is full, the layout of its data."""

from __future__ import annotations

import os
from contextlib import suppress

from protocol.errors import Unavailable
from storage.errors import StoreFailed, StoreFull, StoreReadOnly, StoreUnavailable
from storage.pools import Durability
from storage.redis.client import ServerClient, StoreClient

LAYOUT = 1
"""The layout of keys and records (lua/common.lua). Versions of the gateway next to each other share one."""

_LAYOUT_KEY = b"zg:layout"
_IDENTITY_KEY = b"zg:store"


class LayoutError(Exception):
    """The data in the store are of a layout that this version does not know."""


async def check_layout(client: StoreClient) -> None:
    """Write the layout into an empty store, or see that it is ours. Raises LayoutError if it is not."""
    found = await client.execute("GET", _LAYOUT_KEY, key=_LAYOUT_KEY)
    if found is None:  # else nothing is written: a node must be able to start on a store that is full
        await client.execute("SETNX", _LAYOUT_KEY, LAYOUT, key=_LAYOUT_KEY)
        found = await client.execute("GET", _LAYOUT_KEY, key=_LAYOUT_KEY)
    if found != b"%d" % LAYOUT:
        raise LayoutError(
            f"The message store holds data of layout {found.decode(errors='replace')}; "
            f"this version of the gateway needs {LAYOUT}."
        )


async def look_at_identity(client: StoreClient) -> bytes:
    """What tells the store from all others: random bytes that were written when it was first used.

    Empty if there are none and none can be written now.
    """
    found: bytes | None = await client.execute("GET", _IDENTITY_KEY, key=_IDENTITY_KEY)
    if found is None:
        with suppress(StoreFull, StoreReadOnly):
            await client.execute("SETNX", _IDENTITY_KEY, os.urandom(16).hex(), key=_IDENTITY_KEY)
            found = await client.execute("GET", _IDENTITY_KEY, key=_IDENTITY_KEY)
    return found or b""


_WORSE = {
    "persistence": ("always", "everysec", "unknown", "no", "off"),
    "eviction": ("noeviction", "unknown"),
    "role": ("primary", "unknown", "replica"),
}
"""What may be said of a server, the worst last; what is not named is worse still."""


async def look_at_durability(client: StoreClient) -> Durability:
    """Ask every primary for its version, role, persistence and memory policy; the worst of each counts.

    One that does not answer beside others that do is unknown: their queues go on without it.
    """
    seen: list[Durability] = []
    failure: Unavailable = StoreUnavailable("There is no connection to the message store.")
    primaries = client.primaries()
    for server in primaries:
        try:
            seen.append(await _look_at(server))
        except Unavailable as error:
            failure = error
    if not seen:
        raise failure
    versions = ", ".join(sorted({each.server for each in seen}))
    if len(seen) < len(primaries):
        seen.append(Durability("unknown", "unknown", "unknown", "unknown"))
    return Durability(
        versions,
        _worst("persistence", [each.persistence for each in seen]),
        _worst("eviction", [each.eviction for each in seen]),
        _worst("role", [each.role for each in seen]),
    )


def _worst(what: str, said: list[str]) -> str:
    order = _WORSE[what]
    return max(said, key=lambda each: order.index(each) if each in order else len(order))


async def _look_at(server: ServerClient) -> Durability:
    text = b""
    for section in ("server", "replication", "persistence"):
        text += await server.execute("INFO", section)
    facts = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    if facts.get("loading", "0") != "0":  # it answers INFO all the same
        raise StoreUnavailable("The message store is still loading its data.", code="store_loading")
    if "valkey_version" in facts:
        version = f"valkey {facts['valkey_version']}"
    else:
        version = f"redis {facts.get('redis_version', 'unknown')}"
    role = {"master": "primary", "slave": "replica"}.get(facts.get("role", ""), "unknown")
    appendonly = await _setting(server, "appendonly")
    persistence = await _setting(server, "appendfsync") if appendonly == "yes" else "off"
    if appendonly == "unknown":
        persistence = "unknown"
    return Durability(version, persistence, await _setting(server, "maxmemory-policy"), role)


async def _setting(server: ServerClient, name: str) -> str:
    """One setting, `unknown` where the server does not tell (managed servers forbid CONFIG)."""
    try:
        reply = await server.execute("CONFIG", "GET", name)
    except StoreUnavailable:
        raise
    except StoreFailed:
        return "unknown"
    return reply[1].decode() if reply else "unknown"

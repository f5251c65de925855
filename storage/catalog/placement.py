"""Which pool a new queue goes to. The statements run in a transaction of who creates it."""

from __future__ import annotations

from random import randrange

from sqlalchemy import Connection, exists, select

from protocol.names import is_queue_name
from storage.catalog.tables import flavor_pools, flavors, pools
from storage.errors import NoPool, UnknownFlavor
from storage.pools import DEFAULT_POOL, choose


def choose_pool(connection: Connection, flavor: str | None) -> str:
    """A pool of the flavor, or of all, at random by weight. UnknownFlavor; NoPool if none has a weight."""
    flavor = _meant(connection, flavor)
    statement = select(pools.c.name, pools.c.weight)
    if flavor is not None:
        statement = statement.join(flavor_pools, flavor_pools.c.pool == pools.c.name)
        statement = statement.where(flavor_pools.c.flavor == flavor)
    weights = {row.name: row.weight for row in connection.execute(statement)}
    total = sum(weights.values())
    if not total:
        whose = "" if flavor is None else f" of flavor {flavor}"
        why = f"all pools{whose} have weight 0" if weights else f"there are no pools{whose}"
        raise NoPool(f"No pool takes the queue: {why}. An administrator can change that.")
    return choose(weights, randrange(total))


def require_flavor(connection: Connection, flavor: str) -> None:
    """Raise UnknownFlavor if a queue may not have this flavor."""
    _meant(connection, flavor)


def _meant(connection: Connection, flavor: str | None) -> str | None:
    """The flavor, or None if it says nothing. UnknownFlavor if there is none.

    As long as nobody has made a pool or a flavor, what queues say of one is kept and says nothing: clients of
    a single store may set it.
    """
    if flavor is None:
        return None
    # No other name is in the database, and not every text can be asked for.
    if is_queue_name(flavor) and connection.scalar(select(exists().where(flavors.c.name == flavor))):
        return flavor
    others = exists().where(pools.c.name != DEFAULT_POOL)
    if connection.scalar(select(exists().select_from(flavors) | others)):
        raise UnknownFlavor(f"There is no flavor {flavor[:64]}.")
    return None

"""The statements on flavors. They run in a thread of the catalog."""

from __future__ import annotations

from oslo_db.exception import DBDuplicateEntry
from sqlalchemy import ColumnElement, Connection, delete, insert, select

from storage.catalog.pools import join, members, require_flavors, require_pools
from storage.catalog.tables import flavor_pools, flavors, now
from storage.catalog.transactions import Transactions
from storage.errors import NameTaken, UnknownFlavor
from storage.pools import Flavor


def create(transactions: Transactions, flavor: Flavor) -> None:
    """Add a flavor."""

    def work(connection: Connection) -> None:
        require_pools(connection, flavor.pools)
        connection.execute(insert(flavors).values(name=flavor.name, created=now()))
        join(connection, [(flavor.name, pool) for pool in flavor.pools])

    try:
        transactions.write(work)
    except DBDuplicateEntry as error:
        raise NameTaken(f"There is a flavor {flavor.name} already.") from error


def fetch(transactions: Transactions, *conditions: ColumnElement[bool], limit: int) -> list[Flavor]:
    """Up to `limit` flavors by name for which all conditions hold."""
    statement = select(flavors.c.name).where(*conditions).order_by(flavors.c.name).limit(limit)

    def work(connection: Connection) -> list[Flavor]:
        names = list(connection.scalars(statement))
        held = members(connection, flavor_pools.c.flavor, names, flavor_pools.c.pool)
        return [Flavor(name, held[name]) for name in names]

    return transactions.read(work)


def change(transactions: Transactions, flavor: Flavor) -> None:
    """Give a flavor other pools."""

    def work(connection: Connection) -> None:
        # First the flavor, then the pools, like everything that changes both: so nobody waits in a circle.
        require_flavors(connection, [flavor.name])
        require_pools(connection, flavor.pools)
        connection.execute(delete(flavor_pools).where(flavor_pools.c.flavor == flavor.name))
        join(connection, [(flavor.name, pool) for pool in flavor.pools])

    transactions.write(work, repeatable=True)


def remove(transactions: Transactions, name: str) -> None:
    """Remove a flavor."""
    statement = delete(flavors).where(flavors.c.name == name)
    if not transactions.write(lambda connection: connection.execute(statement).rowcount):
        raise UnknownFlavor(f"There is no flavor {name}.")

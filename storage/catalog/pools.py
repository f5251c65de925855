"""The statements on pools. They run in a thread of the catalog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from oslo_db.exception import DBDuplicateEntry, DBReferenceError
from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, update

from storage.catalog.tables import dump, flavor_pools, flavors, load, now, pools, queue_moves, queues
from storage.catalog.transactions import Transactions
from storage.errors import CatalogUnavailable, NameTaken, PoolInUse, UnknownFlavor, UnknownPool
from storage.pools import DEFAULT_POOL, Pool

_COUNTED = 1000
"""Queues of a pool that are counted before it is said that there are more."""

_NAMED = 10
"""Flavors of a pool, and queues on their way to it, that are named before it is said that there are more."""

_DELETE_ATTEMPTS = 3
"""More are needed only if what needs a pool goes and other things come while one call removes it."""


def create(transactions: Transactions, pool: Pool) -> None:
    """Add a pool."""

    def work(connection: Connection) -> None:
        require_flavors(connection, pool.flavors)
        values = {"name": pool.name, "uri": pool.uri, "weight": pool.weight, "options": dump(pool.options)}
        connection.execute(insert(pools).values(**values, created=now()))
        join(connection, [(flavor, pool.name) for flavor in pool.flavors])

    try:
        transactions.write(work)
    except DBDuplicateEntry as error:
        raise NameTaken(f"There is a pool {pool.name} already.") from error


def fetch(transactions: Transactions, *conditions: ColumnElement[bool], limit: int) -> list[Pool]:
    """Up to `limit` pools by name for which all conditions hold."""
    statement = select(pools).where(*conditions).order_by(pools.c.name).limit(limit)

    def work(connection: Connection) -> list[Pool]:
        rows = connection.execute(statement).all()
        belongs = members(connection, flavor_pools.c.pool, [row.name for row in rows], flavor_pools.c.flavor)
        return [Pool(row.name, row.uri, row.weight, load(row.options), belongs[row.name]) for row in rows]

    return transactions.read(work)


def change(
    transactions: Transactions,
    name: str,
    *,
    uri: str | None,
    weight: int | None,
    options: Mapping[str, Any] | None,
    new_flavors: Collection[str] | None,
) -> Pool:
    """Change what is not None; the pool as it is then."""
    given = {"uri": uri, "weight": weight, "options": None if options is None else dump(options)}
    values = {key: value for key, value in given.items() if value is not None}

    def work(connection: Connection) -> None:
        if new_flavors is not None:
            require_flavors(connection, new_flavors)
        require_pools(connection, [name])
        if uri is not None:
            _require_same_uri_or_no_queues(connection, name, uri)
        if values:
            connection.execute(update(pools).where(pools.c.name == name).values(values))
        if new_flavors is not None:
            connection.execute(delete(flavor_pools).where(flavor_pools.c.pool == name))
            join(connection, [(flavor, name) for flavor in new_flavors])

    transactions.write(work, repeatable=True)
    found = fetch(transactions, pools.c.name == name, limit=1)
    if not found:
        raise UnknownPool(f"There is no pool {name}.")
    return found[0]


def remove(transactions: Transactions, name: str) -> None:
    """Remove a pool that nothing needs."""
    if name == DEFAULT_POOL:
        raise PoolInUse(
            f"The pool {name} is the gateway's own and cannot be removed. With weight 0 it takes no new "
            "queues."
        )
    for _ in range(_DELETE_ATTEMPTS):
        try:
            gone = transactions.write(
                lambda connection: connection.execute(delete(pools).where(pools.c.name == name)).rowcount
            )
        except DBReferenceError as error:
            users = _users(transactions, name)
            if users:
                raise PoolInUse(f"The pool {name} cannot be removed: it is used by {users}.") from error
            continue
        if not gone:
            raise UnknownPool(f"There is no pool {name}.")
        return
    raise CatalogUnavailable(f"The use of pool {name} is being changed by others. Try again.")


def require_flavors(connection: Connection, names: Collection[str]) -> None:
    """Hold on to these flavors until the transaction ends. UnknownFlavor if one is not there."""
    missing = _missing(connection, flavors, names)
    if missing:
        raise UnknownFlavor(f"There is no flavor {', '.join(missing)}.")


def require_pools(connection: Connection, names: Collection[str]) -> None:
    """Hold on to these pools until the transaction ends. UnknownPool if one is not there."""
    missing = _missing(connection, pools, names)
    if missing:
        raise UnknownPool(f"There is no pool {', '.join(missing)}.")


def join(connection: Connection, pairs: Iterable[tuple[str, str]]) -> None:
    """Put pools into flavors: pairs of a flavor and a pool."""
    rows = [{"flavor": flavor, "pool": pool} for flavor, pool in sorted(set(pairs))]
    if rows:
        connection.execute(insert(flavor_pools), rows)


def members(
    connection: Connection, by: ColumnElement[str], names: list[str], wanted: ColumnElement[str]
) -> dict[str, tuple[str, ...]]:
    """For each name, in the column `by` of who is in which flavor, what stands in the column `wanted`."""
    found: dict[str, list[str]] = {name: [] for name in names}
    if names:
        statement = select(by, wanted).where(by.in_(names)).order_by(wanted)
        for name, member in connection.execute(statement):
            found[name].append(member)
    return {name: tuple(each) for name, each in found.items()}


def _missing(connection: Connection, table: Table, names: Collection[str]) -> list[str]:
    """Which names the table does not have. The rows of the others are locked, in the order of the names."""
    if not names:
        return []
    statement = select(table.c.name).where(table.c.name.in_(sorted(set(names)))).order_by(table.c.name)
    return sorted(set(names) - set(connection.scalars(statement.with_for_update())))


def _require_same_uri_or_no_queues(connection: Connection, name: str, uri: str) -> None:
    """Raise PoolInUse if queues live in a pool that is to get another URI. It is locked: none is added."""
    if connection.scalar(select(pools.c.uri).where(pools.c.name == name)) == uri:
        return
    queues_there = _queues_told(connection, name)
    if queues_there:
        raise PoolInUse(
            f"The uri of pool {name} cannot be changed while queues live there, and it has {queues_there}. "
            "Create another pool for the other store, and move them."
        )
    if connection.execute(select(queue_moves).where(queue_moves.c.to_pool == name).limit(1)).first():
        raise PoolInUse(f"The uri of pool {name} cannot be changed while a queue moves there.")


def _queues_told(connection: Connection, name: str) -> str:
    """How many queues live in a pool, in words; empty if none does."""
    some = select(queues.c.incarnation).where(queues.c.pool == name).limit(_COUNTED + 1).subquery()
    count = connection.scalar(select(func.count()).select_from(some)) or 0
    number = f"more than {_COUNTED:,}" if count > _COUNTED else f"{count:,}"
    return f"{number} queue{'' if count == 1 else 's'}" if count else ""


def _users(transactions: Transactions, name: str) -> str:
    """What needs a pool, in words; empty if nothing does."""
    statement = select(flavor_pools.c.flavor).where(flavor_pools.c.pool == name).limit(_NAMED + 1)
    statement = statement.order_by(flavor_pools.c.flavor)
    coming = select(queues.c.name).join(queue_moves, queue_moves.c.incarnation == queues.c.incarnation)
    coming = coming.where(queue_moves.c.to_pool == name).order_by(queues.c.name).limit(_NAMED + 1)

    def work(connection: Connection) -> tuple[str, list[str], list[str]]:
        there = _queues_told(connection, name)
        return there, list(connection.scalars(statement)), list(connection.scalars(coming))

    queues_there, names, moving = transactions.read(work)
    used = [queues_there] if queues_there else []
    for what, found in (("flavor", names), ("the unfinished move of queue", moving)):
        if found:
            more = " and more" if len(found) > _NAMED else ""
            used.append(f"{what}{'' if len(found) == 1 else 's'} {', '.join(found[:_NAMED])}{more}")
    return " and by ".join(used)

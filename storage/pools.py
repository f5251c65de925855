"""Pools, which are message stores that queues live in, and flavors, which name the pools a queue may go to.

The records, and the part of the catalog that keeps them. What it raises is in `storage.errors`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

DEFAULT_POOL: Final = "default"
"""The pool that is always there: the store that the gateway was started with."""


@dataclass(frozen=True)
class Pool:
    """A message store that queues live in."""

    name: str
    uri: str = field(repr=False)
    """As it was given, with its password: not for showing. Empty for the default pool."""
    weight: int
    """Its share of the new queues; 0 takes none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    flavors: tuple[str, ...] = ()
    """The flavors that it belongs to, by name, byte by byte."""


@dataclass(frozen=True)
class Flavor:
    """A name for the pools that some queues may go to."""

    name: str
    pools: tuple[str, ...] = ()
    """By name, byte by byte."""


@dataclass(frozen=True, slots=True)
class Durability:
    """What the store says of itself, for `/readyz` and the log at the start."""

    server: str
    """Its kind and version, as in `valkey 9.1.2`."""
    persistence: str
    """`always`, `everysec`, `no`, `off` or `unknown`."""
    eviction: str
    """`maxmemory-policy`, or `unknown`."""
    role: str
    """`primary`, `replica` or `unknown`."""


def choose(weights: Mapping[str, int], number: int) -> str:
    """The pool that a number falls on, from 0 to below the sum of the weights.

    As many numbers fall on each pool as its weight is: drawn at random, they choose by weight.
    """
    for name, weight in weights.items():
        number -= weight
        if number < 0:
            return name
    raise ValueError("the number is not below the sum of the weights")


class PoolCatalog(Protocol):
    """Which pools and flavors exist.

    After `CatalogUnavailable` a change may have been made all the same.
    """

    async def create_pool(self, pool: Pool) -> None:
        """Add a pool. NameTaken; UnknownFlavor if it is to belong to one that does not exist."""

    async def get_pool(self, name: str) -> Pool | None:
        """One pool."""

    async def list_pools(self, after: str, limit: int) -> list[Pool]:
        """Up to `limit` pools by name, byte by byte, whose names come after `after`."""

    async def update_pool(
        self,
        name: str,
        *,
        uri: str | None = None,
        weight: int | None = None,
        options: Mapping[str, Any] | None = None,
        flavors: Collection[str] | None = None,
    ) -> Pool:
        """Change what is given, and return the pool as it is then. UnknownPool, UnknownFlavor.

        PoolInUse if it is to get another URI while queues live in it: their messages would be left behind.
        """

    async def delete_pool(self, name: str) -> None:
        """Remove a pool. UnknownPool; PoolInUse by queues or flavors, or because it is the default."""

    async def create_flavor(self, flavor: Flavor) -> None:
        """Add a flavor. NameTaken, UnknownPool."""

    async def get_flavor(self, name: str) -> Flavor | None:
        """One flavor."""

    async def list_flavors(self, after: str, limit: int) -> list[Flavor]:
        """Up to `limit` flavors by name, byte by byte, whose names come after `after`."""

    async def update_flavor(self, flavor: Flavor) -> None:
        """Give a flavor other pools. UnknownFlavor, UnknownPool."""

    async def delete_flavor(self, name: str) -> None:
        """Remove a flavor; queues that were placed by it stay where they are. UnknownFlavor."""

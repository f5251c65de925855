"""Flavors: requests and replies (protocol.md sections 3 and 8)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from schemas import limits
from schemas.fields import NewName, PageLimit, length

CAPABILITIES = ("FIFO", "CLAIMS", "AOD", "HIGH_THROUGHPUT")
"""What every pool can do: all are Redis or Valkey."""

PoolNames = Annotated[list[str], length(1, limits.FLAVOR_POOLS_MAX)]


class FlavorCreate(Struct, frozen=True, kw_only=True):
    """Add a flavor: a name for the pools that a queue may go to."""

    flavor_name: NewName
    pool_list: PoolNames | UnsetType = UNSET
    pool_name: str | UnsetType = UNSET


class FlavorList(Struct, frozen=True, kw_only=True):
    """List the flavors by name."""

    marker: str | UnsetType = UNSET
    limit: PageLimit | UnsetType = UNSET
    detailed: bool | UnsetType = UNSET


class FlavorGet(Struct, frozen=True, kw_only=True):
    """Read what is known of a flavor."""

    flavor_name: str


class FlavorUpdate(Struct, frozen=True, kw_only=True):
    """Give a flavor other pools."""

    flavor_name: str
    pool_list: PoolNames


class FlavorDelete(Struct, frozen=True, kw_only=True):
    """Remove a flavor. Its pools, and the queues in them, stay."""

    flavor_name: str


class FlavorView(Struct, frozen=True, kw_only=True):
    """A flavor as it is shown."""

    name: str
    pool_list: list[str]
    capabilities: list[str] | UnsetType = UNSET


class FlavorListReply(Struct, frozen=True, kw_only=True):
    """A page of flavors. `marker` asks for the next one; null: there is nothing to go on from."""

    flavors: list[FlavorView]
    marker: str | None

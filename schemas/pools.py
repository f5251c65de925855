"""Pools: requests and replies (protocol.md sections 3 and 8)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from schemas import limits
from schemas.fields import NewName, PageLimit, integer

Uri = Annotated[str, Meta(extra_json_schema={"maxLength": limits.POOL_URI_CHARACTERS, "writeOnly": True})]
"""The address of a message store. Replies do not repeat it, because a password may be in it."""

Weight = Annotated[int, integer(0, limits.POOL_WEIGHT_MAX)]


class PoolCreate(Struct, frozen=True, kw_only=True):
    """Add a pool: a message store that queues may live in."""

    pool_name: NewName
    uri: Uri
    weight: Weight
    flavor: str | UnsetType | None = UNSET
    options: dict[str, Raw] | UnsetType = UNSET


class PoolList(Struct, frozen=True, kw_only=True):
    """List the pools by name."""

    marker: str | UnsetType = UNSET
    limit: PageLimit | UnsetType = UNSET
    detailed: bool | UnsetType = UNSET


class PoolGet(Struct, frozen=True, kw_only=True):
    """Read what is known of a pool."""

    pool_name: str


class PoolUpdate(Struct, frozen=True, kw_only=True):
    """Change a pool: at least one of its uri, weight, flavor and options."""

    pool_name: str
    uri: Uri | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    flavor: str | UnsetType | None = UNSET
    options: dict[str, Raw] | UnsetType = UNSET


class PoolDelete(Struct, frozen=True, kw_only=True):
    """Remove a pool that neither queues nor flavors need."""

    pool_name: str


class PoolView(Struct, frozen=True, kw_only=True):
    """A pool as it is shown."""

    name: str
    uri: str | None
    weight: int
    flavor: str | None
    flavors: list[str]
    options: dict[str, Any] | UnsetType = UNSET


class PoolListReply(Struct, frozen=True, kw_only=True):
    """A page of pools. `marker` asks for the next one; null: there is nothing to go on from."""

    pools: list[PoolView]
    marker: str | None

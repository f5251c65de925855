"""Flavors (protocol.md sections 3 and 8)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from gateway.actions.call import Answer, Call, given
from gateway.actions.views import flavor_view
from protocol.errors import NotFound
from protocol.names import is_queue_name
from schemas import limits
from schemas.flavors import FlavorListReply
from storage.errors import UnknownFlavor, UnknownPool
from storage.pools import Flavor


async def flavor_create(call: Call) -> Answer:
    """Add a flavor of pools that exist."""
    body = call.body
    pools = [body.pool_name] if body.pool_list is UNSET else body.pool_list
    await call.node.catalog.create_flavor(Flavor(body.flavor_name, _pools(pools)))
    return 201, f"Flavor {body.flavor_name} created."


async def flavor_list(call: Call) -> Answer:
    """A page of the flavors by name."""
    limit = given(call.body.limit, limits.PAGE_DEFAULT)
    detailed = given(call.body.detailed, False)
    flavors = await call.node.catalog.list_flavors(given(call.body.marker, ""), limit)
    shown = [flavor_view(flavor, in_full=detailed) for flavor in flavors]
    return 200, FlavorListReply(flavors=shown, marker=flavors[-1].name if flavors else None)


async def flavor_get(call: Call) -> Answer:
    """One flavor."""
    return 200, flavor_view(await _find(call))


async def flavor_update(call: Call) -> Answer:
    """Give a flavor other pools; answers it as it is then."""
    name = (await _find(call)).name
    flavor = Flavor(name, _pools(call.body.pool_list))
    try:
        await call.node.catalog.update_flavor(flavor)
    except UnknownFlavor:  # somebody has just removed it
        raise _missing(name) from None
    return 200, flavor_view(flavor)


async def flavor_delete(call: Call) -> Answer:
    """Remove a flavor. Queues that were placed by it stay where they are."""
    name = (await _find(call)).name
    try:
        await call.node.catalog.delete_flavor(name)
    except UnknownFlavor:
        raise _missing(name) from None
    return 204, f"Flavor {name} removed."


async def _find(call: Call) -> Flavor:
    """The flavor that is named: 404 if there is none. (400 is for what names one as a property.)"""
    name = call.body.flavor_name
    flavor = await call.node.catalog.get_flavor(name) if is_queue_name(name) else None
    if flavor is None:
        raise _missing(name)
    return flavor


def _missing(name: str) -> NotFound:
    text = f"There is no flavor {name[: limits.QUEUE_NAME_CHARACTERS]!r}."
    return NotFound(text, code=UnknownFlavor.code)


def _pools(names: Sequence[str]) -> tuple[str, ...]:
    """The pools that a request names, in the order in which they are shown. UnknownPool for no legal name."""
    for name in names:
        if not is_queue_name(name):
            raise UnknownPool(f"There is no pool {name[: limits.QUEUE_NAME_CHARACTERS]!r}.")
    return tuple(sorted(set(names)))

"""Pools (protocol.md sections 3 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from gateway.actions.call import Answer, Call, given
from gateway.actions.views import pool_view
from protocol.codec import CODECS, Form
from protocol.errors import BadRequest
from protocol.metadata import read_value
from protocol.names import is_queue_name
from schemas import limits
from schemas.pools import PoolListReply
from storage.errors import NameTaken, UnknownFlavor, UnknownPool
from storage.pools import DEFAULT_POOL, Pool
from storage.redis.address import AddressError, parse
from storage.redis.changes import PoolsChanged
from storage.redis.probe import probe


async def pool_create(call: Call) -> Answer:
    """Add a pool, if the store at its address answers and can be one."""
    body = call.body
    name, catalog = body.pool_name, call.node.catalog
    flavors = _flavors(given(body.flavor, None))
    pool = Pool(name, body.uri, body.weight, _read_options(body.options, call.form), flavors)
    _check_uri(pool.uri)
    if await catalog.get_pool(name) is not None:  # else it would be said only after the store was tried
        raise NameTaken(f"There is a pool {name} already.")
    await probe(call.node.reactor, pool.uri)
    await catalog.create_pool(pool)
    return 201, f"Pool {name} created."


async def pool_list(call: Call) -> Answer:
    """A page of the pools by name."""
    limit = given(call.body.limit, limits.PAGE_DEFAULT)
    detailed = given(call.body.detailed, False)
    pools = await call.node.catalog.list_pools(given(call.body.marker, ""), limit)
    shown = [pool_view(pool, in_full=detailed) for pool in pools]
    return 200, PoolListReply(pools=shown, marker=pools[-1].name if pools else None)


async def pool_get(call: Call) -> Answer:
    """One pool, without its password."""
    return 200, pool_view(await _find(call))


async def pool_update(call: Call) -> Answer:
    """Change what is given; another address is tried first. Answers the pool as it is then."""
    body = call.body
    options = None if body.options is UNSET else _read_options(body.options, call.form)
    uri = given(body.uri, None)
    if uri is not None:
        _check_uri(uri)
    name = (await _find(call)).name
    if uri is not None:
        if name == DEFAULT_POOL:
            raise BadRequest(
                f"The pool {name} is the store that the gateway was started with. Its address is changed "
                "there, with redis_url."
            )
        await probe(call.node.reactor, uri)
    changed = await call.node.catalog.update_pool(
        name,
        uri=uri,
        weight=given(body.weight, None),
        options=options,
        flavors=None if body.flavor is UNSET else _flavors(body.flavor),
    )
    if uri is not None:
        await _elsewhere(call, name)
    return 200, pool_view(changed)


async def pool_delete(call: Call) -> Answer:
    """Remove a pool; 409 if queues or flavors need it."""
    name = (await _find(call)).name
    await call.node.catalog.delete_pool(name)
    await _elsewhere(call, name)
    return 204, f"Pool {name} removed."


async def _elsewhere(call: Call, name: str) -> None:
    """The store of a pool is another one now, or none: no node shall keep it open."""
    await call.node.stores.close(name)
    await call.node.changes.tell(PoolsChanged())


async def _find(call: Call) -> Pool:
    """The pool that is named. UnknownPool."""
    name = call.body.pool_name
    pool = await call.node.catalog.get_pool(name) if is_queue_name(name) else None
    if pool is None:
        raise UnknownPool(f"There is no pool {name[: limits.QUEUE_NAME_CHARACTERS]!r}.")
    return pool


def _check_uri(uri: str) -> None:
    """Raise BadRequest if it is not of the form of one, without repeating it."""
    if len(uri) > limits.POOL_URI_CHARACTERS:
        raise BadRequest(f"uri has {len(uri)} characters; at most {limits.POOL_URI_CHARACTERS} are accepted")
    try:
        parse(uri)
    except AddressError as error:
        raise BadRequest(f"uri: {error}") from None


def _flavors(name: str | None) -> tuple[str, ...]:
    """The flavors that a request puts a pool into. UnknownFlavor for a name that none can have."""
    if name is None:
        return ()
    if not is_queue_name(name):
        raise UnknownFlavor(f"There is no flavor {name[: limits.QUEUE_NAME_CHARACTERS]!r}.")
    return (name,)


def _read_options(options: Mapping[str, Raw] | UnsetType, form: Form) -> dict[str, Any]:
    """A pool's options; empty if they are absent. Raises BadRequest."""
    if options is UNSET:
        return {}
    data = CODECS[form].encode(options)
    if len(data) > limits.OPTIONS_BYTES:
        raise BadRequest(f"options have {len(data)} bytes; at most {limits.OPTIONS_BYTES} are accepted")
    read: dict[str, Any] = read_value(data, form, "options")
    return read

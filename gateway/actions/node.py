"""The node itself (protocol.md section 8)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from msgspec import UNSET

from gateway.actions.call import Answer, Call
from gateway.logs import get_logger
from protocol.body import Body
from protocol.codec import Form
from protocol.errors import RequestError
from schemas.node import HealthReply, HomeDocReply, OperationStatus, PoolHealth
from schemas.queues import EmptyReply
from storage.base import MessageStore
from storage.errors import StaleQueue
from storage.pools import DEFAULT_POOL, Pool
from storage.records import NewMessage, Queue, Start

HOME = {
    "rel/queues": {"href-template": "/v2/queues{?marker,limit,detailed}"},
    "rel/queue": {"href-template": "/v2/queues/{queue_name}"},
    "rel/queue_stats": {"href-template": "/v2/queues/{queue_name}/stats"},
    "rel/messages": {"href-template": "/v2/queues/{queue_name}/messages{?marker,limit,echo,include_claimed}"},
    "rel/claims": {"href-template": "/v2/queues/{queue_name}/claims{?limit}"},
    "rel/subscriptions": {"href-template": "/v2/queues/{queue_name}/subscriptions{?marker,limit}"},
    "service-desc": {"href": "/openapi.json"},
}
"""What the service offers, by relation."""

MAX_POOLS = 100
"""Pools that a health check looks at."""

HEALTH = 0
"""The incarnation of the queue that health checks work on: always the same, so that they leave one."""

log = get_logger(__name__)


async def get_home_doc(_: Call) -> Answer:
    """What the service offers."""
    return 200, HomeDocReply(resources=HOME)


async def ping_node(call: Call) -> Answer:
    """The node answers, and so does the store that it was started with: else 503."""
    await call.node.stores.default.store.durability()
    return 204, EmptyReply()


async def check_node_health(call: Call) -> Answer:
    """Ask every pool's store and the catalog, and go through a queue's life on one that nobody else sees."""
    pools: list[Pool] = []

    async def read_pools() -> None:
        pools.extend(await call.node.catalog.list_pools("", MAX_POOLS))

    catalog = (await _try("catalog", read_pools)).succeeded
    default = await _look_at_pool(call, DEFAULT_POOL)
    others = {pool.name: await _look_at_pool(call, pool.name) for pool in pools if pool.name != DEFAULT_POOL}
    return 200, HealthReply(
        storage_reachable=default.storage_reachable,
        catalog_reachable=catalog,
        operation_status=default.operation_status,
        pools=others or UNSET,
    )


async def _look_at_pool(call: Call, name: str) -> PoolHealth:
    async def reach() -> None:
        await (await call.node.stores.open(name)).store.durability()

    reachable = (await _try("storage", reach)).succeeded
    opened = call.node.stores.opened(name)
    operations = await _go_through(opened.store) if reachable and opened is not None else {}
    return PoolHealth(storage_reachable=reachable, operation_status=operations)


async def _go_through(store: MessageStore) -> dict[str, OperationStatus]:
    """What is done with a queue, each step timed, by the names that upstream has for the steps.

    The queue is in no catalog: no client can name it. It is emptied in the end, and stays for the next time.
    """
    queue = Queue(project="", name="health", incarnation=HEALTH)
    message, client, claim = NewMessage(Body(Form.JSON, b"null"), ttl=60), bytes(16), uuid.uuid4().bytes
    posted: list[int] = []

    async def post() -> None:
        posted.extend(await store.post(queue, [message] * 2, client))

    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "create_queue": lambda: store.create(queue),
        "post_messages": post,
        "claim_messages": lambda: store.create_claim(queue, claim, 60, 60, 1, None),
        "list_messages": lambda: store.list_messages(queue, Start(), 2, include_claimed=True),
        "delete_messages": lambda: store.delete_messages(queue, posted[:1], [claim]),
        "delete_claim": lambda: store.release_claim(queue, claim),
        "bulk_delete_messages": lambda: store.delete_messages(queue, posted, None),
        "delete_queue": lambda: store.purge(queue, messages=True, subscriptions=True),
    }
    return {name: await _try(name, step) for name, step in steps.items()}


async def _try(name: str, step: Callable[[], Awaitable[Any]]) -> OperationStatus:
    started, ref = perf_counter(), None
    try:
        await step()
    except (RequestError, StaleQueue) as error:  # stale: the store was emptied just now
        ref = str(uuid.uuid4())
        log.warning("health_step_failed", step=name, ref=ref, reason=str(error))
    return OperationStatus(succeeded=ref is None, seconds=round(perf_counter() - started, 6), ref=ref)

"""Queues (protocol.md sections 3 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gateway.actions.call import Answer, Call, given
from gateway.actions.encryption import check_encryption
from gateway.auth.authorisation import check_metadata
from gateway.auth.permitted_queues import list_permitted
from gateway.dead_letters import deliver
from gateway.message_view import message_view
from protocol.errors import NotFound
from protocol.metadata import Metadata, read_metadata, with_defaults
from protocol.patch import apply_patch
from schemas import limits
from schemas.queues import RESOURCE_TYPES, EmptyReply, QueueListItem, QueueListReply, QueueStats, StatsReply
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Queue


async def queue_create(call: Call) -> Answer:
    """201 for a new queue, 204 for one that exists: its metadata stay as they are."""
    name = call.body.queue_name
    metadata = read_metadata(call.body.metadata, call.form)
    check_metadata(call.client.identity, metadata)
    check_encryption(call.node.keyring, metadata)
    _, created = await call.router.ensure(call.project, name, metadata)
    return (201 if created else 204), f"Queue {name} created."


async def queue_list(call: Call) -> Answer:
    """A page of the project's queues by name: those that the token lets be listed."""
    limit = given(call.body.limit, limits.PAGE_DEFAULT)
    detailed = given(call.body.detailed, False)
    marker, identity = given(call.body.marker, ""), call.client.identity
    if identity is None or identity.rights is None:
        queues = await call.node.catalog.list_queues(call.project, marker, limit)
    else:
        queues = await list_permitted(call.node.catalog, call.project, identity.rights, marker, limit)
    items = [
        QueueListItem(name=queue.name, metadata=dict(queue.metadata))
        if detailed
        else QueueListItem(name=queue.name)
        for queue in queues
    ]
    return 200, QueueListReply(queues=items, marker=queues[-1].name if queues else None)


async def queue_get(call: Call) -> Answer:
    """The metadata as they were given; of a missing queue, none."""
    try:
        queue = await call.router.find(call.project, call.body.queue_name)
    except NoQueue:
        return 200, {}
    return 200, dict(queue.metadata)


async def queue_update(call: Call) -> Answer:
    """Change metadata by a JSON patch, all of it or nothing; answers all of them, defaults included."""
    name = call.body.queue_name

    def patch(metadata: Mapping[str, Any]) -> Metadata:
        patched = apply_patch(metadata, call.body.patch, call.form)
        check_metadata(call.client.identity, patched, metadata)
        check_encryption(call.node.keyring, patched, metadata)
        return patched

    try:
        queue = await call.router.update(call.project, name, patch)
    except NoQueue:
        raise NotFound(f"Queue {name} does not exist for project {call.project}") from None
    return 200, with_defaults(queue.metadata)


async def queue_delete(call: Call) -> Answer:
    """Remove a queue with all that is in it; nothing happens if it is missing."""
    name = call.body.queue_name

    async def drain(store: MessageStore, queue: Queue) -> None:
        await deliver(call.router, store, queue)

    await call.router.remove(call.project, name, drain)
    return 204, f"Queue {name} removed."


async def queue_get_stats(call: Call) -> Answer:
    """Counts, and the oldest and the newest message."""

    async def read(store: MessageStore, queue: Queue) -> StatsReply:
        stats = await store.stats(queue)
        ends = {
            name: message_view(message, queue, call.form, in_full=True)
            for name, message in (("oldest", stats.oldest), ("newest", stats.newest))
            if message is not None
        }
        free = stats.free + stats.delayed
        return StatsReply(
            messages=QueueStats(claimed=stats.claimed, free=free, total=free + stats.claimed, **ends)
        )

    try:
        return 200, await call.router.run(call.project, call.body.queue_name, read)
    except NoQueue:
        return 404, StatsReply(messages=QueueStats(claimed=0, free=0, total=0))


async def queue_purge(call: Call) -> Answer:
    """Remove messages, subscriptions, or both; nothing happens if the queue is missing."""
    types = given(call.body.resource_types, RESOURCE_TYPES)

    async def purge(store: MessageStore, queue: Queue) -> None:
        await store.purge(queue, messages="messages" in types, subscriptions="subscriptions" in types)

    with suppress(NoQueue):
        await call.router.run(call.project, call.body.queue_name, purge)
    return 204, EmptyReply()

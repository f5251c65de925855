"""Claims: leased work (protocol.md sections 3 and 5)."""

from __future__ import annotations

from contextlib import suppress

from gateway.actions.call import Answer, Call, given
from gateway.dead_letters import deliver_claimed, rule
from gateway.message_view import message_view
from protocol.errors import NotFound
from protocol.identifiers import new_claim_id, parse_uuid
from schemas import limits
from schemas.claims import ClaimCreateReply, ClaimGetReply
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Queue


async def claim_create(call: Call) -> Answer:
    """Lease free messages from the head of the queue. 204 where there is none."""
    body = call.body
    ttl = given(body.ttl, limits.CLAIM_TTL_DEFAULT)
    grace = given(body.grace, limits.CLAIM_GRACE_DEFAULT)
    limit = given(body.limit, limits.PAGE_DEFAULT)
    claim_id = new_claim_id()
    claim = parse_uuid(claim_id)
    assert claim is not None

    async def lease(store: MessageStore, queue: Queue) -> tuple[int, ClaimCreateReply]:
        claimed = await store.create_claim(queue, claim, ttl, grace, limit, rule(queue))
        if claimed.dead_lettered:
            await deliver_claimed(call.router, store, queue)
        if claimed.messages:
            shown = [message_view(message, queue, call.form) for message in claimed.messages]
            return 201, ClaimCreateReply(claim_id=claim_id, messages=shown)
        return 204, ClaimCreateReply(claim_id=None if claimed.dead_lettered else claim_id)

    try:
        return await call.router.run(call.project, body.queue_name, lease)
    except NoQueue:
        return 204, ClaimCreateReply(claim_id=claim_id)


async def claim_get(call: Call) -> Answer:
    """A live claim and what it holds."""
    claim = parse_uuid(call.body.claim_id)

    async def read(store: MessageStore, queue: Queue) -> ClaimGetReply | None:
        found = None if claim is None else await store.get_claim(queue, claim)
        if found is None:
            return None
        shown = [message_view(message, queue, call.form) for message in found.messages]
        return ClaimGetReply(age=found.age, ttl=found.ttl, messages=shown)

    try:
        found = await call.router.run(call.project, call.body.queue_name, read)
    except NoQueue:
        found = None
    if found is None:
        raise _no_claim(call)
    return 200, found


def _no_claim(call: Call) -> NotFound:
    return NotFound(
        f"Claim {call.body.claim_id} does not exist in queue {call.body.queue_name} "
        f"for project {call.project}",
        error="The specified claim does not exist or has expired.",
    )


async def claim_update(call: Call) -> Answer:
    """Start a claim's time anew."""
    body = call.body
    claim = parse_uuid(body.claim_id)
    ttl = given(body.ttl, limits.CLAIM_TTL_DEFAULT)
    # Any integer is taken here, as upstream does; what it can mean is a time within the claim's limits.
    grace = min(max(given(body.grace, limits.CLAIM_GRACE_DEFAULT), 0), limits.CLAIM_GRACE_MAX)

    async def renew(store: MessageStore, queue: Queue) -> bool:
        return claim is not None and await store.update_claim(queue, claim, ttl, grace)

    try:
        renewed = await call.router.run(call.project, body.queue_name, renew)
    except NoQueue:
        renewed = False
    if not renewed:
        raise _no_claim(call)
    return 204, f"Claim {body.claim_id} updated."


async def claim_delete(call: Call) -> Answer:
    """Give the messages back; nothing happens if there is no such claim."""
    claim = parse_uuid(call.body.claim_id)

    async def release(store: MessageStore, queue: Queue) -> None:
        if claim is not None:
            await store.release_claim(queue, claim)

    with suppress(NoQueue):
        await call.router.run(call.project, call.body.queue_name, release)
    return 204, f"Claim {call.body.claim_id} deleted."

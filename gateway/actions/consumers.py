"""Streaming claims: leased messages that are pushed (docs/streaming-claims.md)."""

from __future__ import annotations

import os
from contextlib import suppress

from gateway.actions.call import Answer, Call, given
from protocol.errors import BadRequest, NotFound, SubprotocolNeeded
from protocol.extension import SUBPROTOCOL
from protocol.identifiers import new_claim_id, parse_id, parse_uuid
from schemas import limits
from schemas.claims import ClaimSubscribeReply
from schemas.queues import EmptyReply
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Consumer, Queue


async def claim_subscribe(call: Call) -> Answer:
    """Have messages leased and pushed, with a new claim or with one that is there. Creates the queue."""
    _need_extension(call)
    body = call.body
    resume = given(body.claim_id, None) is not None
    claim_id = body.claim_id if resume else new_claim_id()
    terms = Consumer(
        _claim(claim_id),
        os.urandom(8),
        given(body.ttl, limits.CLAIM_TTL_DEFAULT),
        given(body.grace, limits.CLAIM_GRACE_DEFAULT),
        body.credit,
    )

    async def subscribe(_: MessageStore, queue: Queue) -> int:
        return await call.node.consumers.subscribe(call.client, queue, terms, call.form, resume=resume)

    held = await call.router.run(call.project, body.queue_name, subscribe, create=True)
    return 201, ClaimSubscribeReply(claim_id=claim_id.lower(), held=held)


async def claim_unsubscribe(call: Call) -> Answer:
    """End a consumer of this socket; what it holds is free at once."""
    _need_extension(call)
    claim = _claim(call.body.claim_id)
    token: bytes | None = None

    async def leave(store: MessageStore, queue: Queue) -> None:
        nonlocal token
        token = token or call.node.consumers.leave(call.client, queue, claim)
        if token is not None:
            await store.release_claim(queue, claim, token)

    with suppress(NoQueue):
        await call.router.run(call.project, call.body.queue_name, leave)
    if token is None:
        raise NotFound(
            f"Claim {call.body.claim_id} is no consumer's of this socket in queue {call.body.queue_name} "
            f"for project {call.project}"
        )
    return 204, f"Claim {call.body.claim_id} ended."


async def message_release(call: Call) -> Answer:
    """Give messages back; nothing happens with those that the claim does not hold."""
    _need_extension(call)
    body = call.body
    claim = _claim(body.claim_id)

    async def release(store: MessageStore, queue: Queue) -> None:
        parsed = map(parse_id, body.message_ids)
        here = [found[0] for found in parsed if found is not None and found[1] == queue.incarnation]
        if here:
            await store.release_messages(queue, here, claim)

    with suppress(NoQueue):
        await call.router.run(call.project, body.queue_name, release)
    return 204, EmptyReply()


def _need_extension(call: Call) -> None:
    if not call.client.extended:
        raise SubprotocolNeeded(
            f"This action needs the subprotocol {SUBPROTOCOL}: offer it in the WebSocket handshake."
        )


def _claim(claim_id: str) -> bytes:
    claim = parse_uuid(claim_id)
    if claim is None:
        raise BadRequest(f"claim_id must be one that the gateway has returned, not {claim_id[:64]!r}.")
    return claim

"""Messages (protocol.md sections 3 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from gateway.actions.call import Answer, Call, given
from gateway.dead_letters import deliver_claimed, rule
from gateway.message_view import message_view
from protocol.body import checksum
from protocol.errors import BadRequest, Forbidden, NotFound, ProjectFull, RequestError
from protocol.identifiers import format_id, parse_id, parse_marker, parse_uuid
from protocol.messages import PostedMessage, read_messages
from schemas import limits
from schemas.messages import (
    MessageDeleteManyReply,
    MessageGetReply,
    MessageListReply,
    MessagePostReply,
    MessagesReply,
)
from schemas.queues import EmptyReply
from storage.base import MessageStore
from storage.errors import NoQueue, QueueFull
from storage.records import RECORD_BYTES, Deleted, NewMessage, Queue, Start


def missing_queue(call: Call) -> NotFound:
    """The queue of a request does not exist."""
    return NotFound(f"Queue {call.body.queue_name} does not exist for project {call.project}")


async def message_post(call: Call) -> Answer:
    """Store messages in their order. A missing queue is created."""
    return 201, MessagePostReply(message_ids=await _store(call, await _read(call)))


async def message_posts(calls: Sequence[Call]) -> list[Answer | RequestError]:
    """Several posts of one client to one queue, in their order: stored together, as far as one script may.

    Each is answered for itself. Those that are stored together are stored all or none.
    """
    answers: list[Answer | RequestError] = []
    batch: list[list[PostedMessage]] = []
    most = calls[0].node.settings.max_messages_per_post
    for call in calls:
        try:
            posted = await _read(call)
        except RequestError as error:
            answers += await _store_batch(calls[0], batch)
            answers.append(error)
            batch = []
            continue
        if sum(map(len, batch)) + len(posted) > most:
            answers += await _store_batch(calls[0], batch)
            batch = []
        batch.append(posted)
    return answers + await _store_batch(calls[0], batch)


async def _store_batch(call: Call, batch: Sequence[list[PostedMessage]]) -> list[Answer | RequestError]:
    if not batch:
        return []
    try:
        ids = await _store(call, [message for posted in batch for message in posted])
    except (QueueFull, ProjectFull) as error:
        if len(batch) == 1:
            return [error]
        # Together they do not fit: those that do one by one are stored.
        return [answer for posted in batch for answer in await _store_batch(call, [posted])]
    except RequestError as error:
        return [error] * len(batch)
    ends = list(accumulate(map(len, batch)))
    slices = zip([0, *ends], ends, strict=False)
    return [(201, MessagePostReply(message_ids=ids[start:end])) for start, end in slices]


async def _read(call: Call) -> list[PostedMessage]:
    settings, queue_name = call.node.settings, call.body.queue_name
    try:
        queue = call.router.cached(call.project, queue_name)
        if queue is None:
            queue = await call.router.find(call.project, queue_name)
        post_bytes = queue.settings.max_post_size
    except NoQueue:
        post_bytes = limits.POST_BYTES
    posted = read_messages(call.incoming, post_bytes, extended=call.client.extended)
    if len(posted) > settings.max_messages_per_post:
        raise BadRequest(f"A post may hold {settings.max_messages_per_post} messages, not {len(posted)}.")
    return posted


async def _store(call: Call, posted: Sequence[PostedMessage]) -> list[str]:
    """Store messages for the client, and return their ids."""
    usage = call.node.usage
    if usage is not None:
        usage.check(call.project, _size(posted))
    post = partial(_post, call, posted)
    return await call.router.run(call.project, call.body.queue_name, post, create=True)


async def _post(call: Call, posted: Sequence[PostedMessage], store: MessageStore, queue: Queue) -> list[str]:
    settings, defaults, usage = call.node.settings, queue.settings, call.node.usage
    messages = [
        NewMessage(
            message.body,
            defaults.default_ttl if message.ttl is None else message.ttl,
            defaults.default_delay if message.delay is None else message.delay,
            checksum(message.body) if settings.enable_checksum else None,
            message.dedup_id,
        )
        for message in posted
    ]
    sequences = await store.post(queue, messages, call.client_id, settings.dedup_window)
    if usage is not None:
        usage.posted(queue, _size(posted))
    return [format_id(sequence, queue.incarnation) for sequence in sequences]


def _size(posted: Sequence[PostedMessage]) -> int:
    """Bytes that messages take in the store, about."""
    return sum(RECORD_BYTES + len(message.body.data) for message in posted)


async def message_list(call: Call) -> Answer:
    """A page of messages in the order of the queue, behind the marker."""
    body = call.body
    limit = given(body.limit, limits.PAGE_DEFAULT)
    not_from = None if given(body.echo, False) else call.client_id

    async def read(store: MessageStore, queue: Queue) -> MessageListReply:
        start = _start(given(body.marker, ""), queue)
        page = await store.list_messages(
            queue,
            start,
            limit,
            not_from=not_from,
            include_claimed=given(body.include_claimed, False),
            include_delayed=given(body.include_delayed, False),
        )
        shown = [message_view(message, queue, call.form) for message in page.messages]
        return MessageListReply(messages=shown, marker=str(page.position) if page.position else None)

    try:
        return 200, await call.router.run(call.project, body.queue_name, read)
    except NoQueue:
        raise missing_queue(call) from None


def _start(marker: str, queue: Queue) -> Start:
    match parse_marker(marker, queue.incarnation):
        case ("position", number):
            return Start(number)
        case ("sequence", number):
            return Start(number, is_sequence=True)
        case _:
            return Start()


async def message_get(call: Call) -> Answer:
    """One message."""
    found = await _find(call, [call.body.message_id])
    if not found:
        raise NotFound(
            f"Message {call.body.message_id} does not exist in queue {call.body.queue_name} "
            f"for project {call.project}"
        )
    return 200, MessageGetReply(messages=found[0])


async def message_get_many(call: Call) -> Answer:
    """The messages that are there, in the order in which they were asked for."""
    return 200, MessagesReply(messages=await _find(call, call.body.message_ids))


async def _find(call: Call, ids: list[str]) -> list[Any]:
    async def read(store: MessageStore, queue: Queue) -> list[Any]:
        sequences = _sequences(ids, queue)
        messages = await store.get_messages(queue, sequences) if sequences else []
        return [message_view(message, queue, call.form) for message in messages if message is not None]

    try:
        return await call.router.run(call.project, call.body.queue_name, read)
    except NoQueue:
        return []


def _sequences(ids: list[str], queue: Queue) -> list[int]:
    """The sequences of those ids that are of this queue; others do not exist here."""
    parsed = map(parse_id, ids)
    return [found[0] for found in parsed if found is not None and found[1] == queue.incarnation]


async def message_delete(call: Call) -> Answer:
    """Delete one message; nothing happens if it is gone. A claimed one needs its claim."""
    body = call.body
    # What is no UUID cannot be a claim: it is asked for as one that does not exist.
    claim = None if given(body.claim_id, None) is None else parse_uuid(body.claim_id) or b""

    async def delete(store: MessageStore, queue: Queue) -> Deleted:
        sequences = _sequences([body.message_id], queue)
        return await store.delete_message(queue, sequences[0], claim) if sequences else Deleted.DONE

    try:
        outcome = await call.router.run(call.project, body.queue_name, delete)
    except NoQueue:
        outcome = Deleted.DONE
    match outcome:
        case Deleted.CLAIMED:
            raise Forbidden(
                f"Message {body.message_id} is claimed",
                error="This message is claimed; it cannot be deleted without a valid claim ID.",
            )
        case Deleted.OTHER_CLAIM:
            raise Forbidden(
                f"Message {body.message_id} is not claimed by {body.claim_id}",
                error="This message is claimed by another claim.",
            )
        case Deleted.NO_SUCH_CLAIM:
            raise BadRequest(
                f"Claim {body.claim_id} does not exist",
                error="The specified claim does not exist or has expired.",
            )
        case Deleted.NOT_CLAIMED:
            raise BadRequest(
                f"Message {body.message_id} is not claimed",
                error="A claim was specified, but the message is not currently claimed.",
            )
    return 204, EmptyReply()


async def message_delete_many(call: Call) -> Answer:
    """Delete by ids, or take and delete the first free ones."""
    if given(call.body.pop, None) is not None:
        return await _pop(call)
    body = call.body
    claims = None
    if call.node.settings.message_delete_with_claim_id:
        claims = [parse_uuid(claim) for claim in given(body.claim_ids, [])]
        if not claims or None in claims:
            raise BadRequest("claim_ids must name the claims that hold the messages.")

    async def delete(store: MessageStore, queue: Queue) -> bool:
        sequences = _sequences(body.message_ids, queue)
        held_by = None if claims is None else [claim for claim in claims if claim is not None]
        return await store.delete_messages(queue, sequences, held_by) if sequences else True

    try:
        done = await call.router.run(call.project, body.queue_name, delete)
    except NoQueue:
        done = True
    if not done:
        raise Forbidden("A message is not held by one of the claims; nothing was deleted.")
    return 204, MessageDeleteManyReply()


async def _pop(call: Call) -> Answer:
    async def pop(store: MessageStore, queue: Queue) -> list[Any]:
        claimed = await store.pop_messages(queue, call.body.pop, rule(queue))
        if claimed.dead_lettered:
            await deliver_claimed(call.router, store, queue)
        return [message_view(message, queue, call.form, in_full=True) for message in claimed.messages]

    try:
        return 200, MessageDeleteManyReply(
            messages=await call.router.run(call.project, call.body.queue_name, pop)
        )
    except NoQueue:
        return 200, MessageDeleteManyReply(messages=[])

"""Long polling: requests that wait for messages, as long as `wait` in their URL says (docs/events.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import time

from gateway.actions import ACTIONS
from gateway.actions.call import Answer, Call
from gateway.http.rest import differences
from gateway.http.rest.asked import Asked
from gateway.http.rest.client import RestClient
from gateway.push.arrivals import Wait
from protocol.identifiers import parse_uuid
from storage.base import MessageStore
from storage.errors import NoQueue
from storage.records import Queue


async def message_list(call: Call, asked: Asked) -> Answer:
    """A page of messages; of one that is empty, the first that is not."""

    async def look() -> Answer:
        return await differences.message_list(call, asked)

    return await _look(call, asked, look, lambda answer: bool(answer[1].messages), takes=False)


async def claim_create(call: Call, asked: Asked) -> Answer:
    """A claim, as soon as there is something to claim. Who waits for that has the queue made."""

    async def look() -> Answer:
        answer = await ACTIONS["claim_create"](call)
        if answer[0] == 201 and call.client.closed:
            await _release(call, answer[1].claim_id)  # nobody is there any more to work on it
        return answer

    if asked.query.get("wait"):
        await call.router.run(call.project, call.body.queue_name, _nothing, create=True)
    return await _look(call, asked, look, lambda answer: answer[0] == 201, takes=True)


async def _look(
    call: Call,
    asked: Asked,
    look: Callable[[], Awaitable[Answer]],
    is_found: Callable[[Answer], bool],
    *,
    takes: bool,
) -> Answer:
    client, seconds = call.client, float(asked.query.get("wait", 0))
    assert isinstance(client, RestClient)
    if client.until is not None:
        seconds = min(seconds, client.until - time())
    return await call.node.arrivals.look(
        Wait(call.project, call.body.queue_name, seconds, takes), client, look, is_found
    )


async def _release(call: Call, claim_id: str) -> None:
    claim = parse_uuid(claim_id)
    assert claim is not None

    async def release(store: MessageStore, queue: Queue) -> None:
        await store.release_claim(queue, claim)

    with suppress(NoQueue):
        await call.router.run(call.project, call.body.queue_name, release)


async def _nothing(_: MessageStore, __: Queue) -> None:
    """All there is to do is to have a queue."""

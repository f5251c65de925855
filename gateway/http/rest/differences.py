"""Where REST does something else than the WebSocket's action of the name (docs/rest.md)."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.actions import ACTIONS
from gateway.actions.call import Answer, Call, given
from gateway.actions.confirming import create_again
from gateway.auth.permitted_queues import count_permitted
from gateway.http.rest.asked import Asked
from gateway.http.rest.errors import titled
from protocol.errors import NotFound
from protocol.names import is_queue_name
from schemas.messages import MessageListReply
from storage.errors import NoQueue

BEHIND = ","
"""Behind a queue's name: a marker for what comes after that. It is in no name, and sorts before what is."""


async def queue_list(call: Call, asked: Asked) -> Answer:
    """The reply of the action, and how many queues there are if `with_count` asks for it, else None."""
    marker = given(call.body.marker, "")
    if is_queue_name(marker) and await _begins_anew(call, marker):
        call.body = replace(call.body, marker="")
    status, reply = await ACTIONS["queue_list"](call)
    if not marker and reply.marker is not None and asked.query.get("limit") == 1:
        # Who follows the link to the next page shall not come back to this one.
        reply = replace(reply, marker=reply.marker + BEHIND)
    count = await _count(call) if asked.query.get("with_count") else None
    return status, (reply, count)


async def _count(call: Call) -> int:
    """How many queues there are that may be listed."""
    identity, catalog = call.client.identity, call.node.catalog
    if identity is None or identity.rights is None:
        return await catalog.count_queues(call.project)
    return await count_permitted(catalog, call.project, identity.rights)


async def _begins_anew(call: Call, marker: str) -> bool:
    """Whether a list begins at the beginning in spite of its marker, as upstream's does.

    That is where no queue has the name, and where it is the first of several (docs/rest.md).
    """
    identity, catalog = call.client.identity, call.node.catalog
    if identity is not None and identity.rights is not None:
        return False  # it would tell which queues there are
    if await catalog.get_queue(call.project, marker) is None:
        return True
    first = await catalog.list_queues(call.project, "", 2)
    return len(first) == 2 and first[0].name == marker


async def message_list(call: Call, asked: Asked) -> Answer:
    """A missing queue is empty. Where messages are not delayed by default, delayed ones are listed too."""
    try:
        queue = await call.router.find(call.project, call.body.queue_name)
        if not queue.settings.default_delay and "include_delayed" not in asked.query:
            asked.query["include_delayed"] = True  # the links say so, as upstream's
            call.body = replace(call.body, include_delayed=True)
        return await ACTIONS["message_list"](call)
    except (NoQueue, NotFound):
        return 200, MessageListReply(messages=[], marker=None)


async def message_get_many(call: Call, asked: Asked) -> Answer:
    """404 if there is none of them."""
    status, reply = await ACTIONS["message_get_many"](call)
    if not reply.messages:
        raise NotFound(f"None of these messages is in queue {call.body.queue_name}.")
    return status, reply


async def message_delete(call: Call, asked: Asked) -> Answer:
    """What is wrong with the claim is told as upstream's REST does."""
    with titled("Unable to delete"):
        return await ACTIONS["message_delete"](call)


async def subscription_create(call: Call, asked: Asked) -> Answer:
    """A subscriber that has one already, unconfirmed, is told that one's id."""
    status, reply = await ACTIONS["subscription_create"](call)
    if status != 409:
        return status, reply
    again = await create_again(call, None)
    return (status, reply) if again is None else (201, again)

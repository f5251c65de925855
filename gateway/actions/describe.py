"""What the node offers to those who have agreed on protocol.extension."""

from __future__ import annotations

from functools import cache
from time import time
from typing import Any

from msgspec import UNSET

from gateway import __version__
from gateway.actions.call import Answer, Call, given
from protocol.extension import FEATURES, SUBPROTOCOL
from protocol.registry import ACTIONS
from protocol.times import shown_time
from schemas import limits
from schemas.export import documents
from schemas.node import DescribeReply, LimitsView


async def describe(call: Call) -> Answer:
    """The actions, the features and the limits in force, what time the node has, and all schemas if asked."""
    settings = call.node.settings
    return 200, DescribeReply(
        version=__version__,
        subprotocol=SUBPROTOCOL,
        server_time=shown_time(int(time())),
        actions=sorted(ACTIONS),
        features=list(FEATURES),
        limits=LimitsView(
            max_frame_bytes=settings.max_frame_bytes,
            max_frame_parts=limits.FRAME_PARTS,
            max_requests_in_flight=settings.max_requests_in_flight,
            max_messages_per_post=settings.max_messages_per_post,
            max_page=limits.PAGE_MAX,
            max_message_ttl=limits.MESSAGE_TTL_MAX,
            max_message_delay=limits.MESSAGE_DELAY_MAX,
            max_claim_ttl=limits.CLAIM_TTL_MAX,
            max_request_id_characters=limits.REQUEST_ID_CHARACTERS,
            max_dedup_id_bytes=limits.DEDUP_ID_BYTES,
            dedup_window=settings.dedup_window,
            max_requests_per_second=settings.max_requests_per_second,
            max_project_requests_per_second=settings.max_project_requests_per_second,
            request_burst=settings.request_burst,
            max_subscriptions_per_socket=settings.max_subscriptions_per_socket,
            max_consumers_per_socket=limits.CONSUMERS_PER_SOCKET,
            max_queues_per_project=settings.max_queues_per_project,
            max_queue_messages=settings.max_queue_messages,
            max_queue_bytes=settings.max_queue_bytes,
            max_project_bytes=settings.max_project_bytes,
        ),
        schemas=_schemas() if given(call.body.schemas, False) else UNSET,
    )


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each request, reply and event: `message_post.request` and so on."""
    return {name.removesuffix(".json"): document for name, document in documents()}

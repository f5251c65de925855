"""Signing of URLs, for those who have no token (protocol.md section 7)."""

from __future__ import annotations

from time import time

from gateway.actions.call import Answer, Call, given
from protocol.errors import BadRequest, NotPermitted
from protocol.signed_urls import shared_actions, sign, to_sign
from schemas.queues import QueueShareReply


class SigningDisabled(BadRequest):
    """The gateway has no key that signs."""

    code = "signing_disabled"


async def queue_share(call: Call) -> Answer:
    """Sign what of a queue others may do until a time. The queue need not exist."""
    body, node = call.body, call.node
    if not node.signing_keys:
        raise SigningDisabled("Nothing is signed here. The operator switches it on with signing_key_file.")
    url = to_sign(
        body.queue_name,
        given(body.paths, ()),
        given(body.methods, ()),
        call.project,
        given(body.expires, None),
        time(),
    )
    for action in shared_actions(url):
        # Nobody gives away what they do not have.
        if not node.authorisation.permits(call.client.identity, action, call.project, body.queue_name):
            raise NotPermitted(f"You may not share {action}, to which you have no right yourself.")
    reply = QueueShareReply(
        paths=list(url.paths),
        methods=list(url.methods),
        project=url.project,
        expires=url.expires,
        signature=sign(node.signing_keys[0], url),
    )
    return 200, reply

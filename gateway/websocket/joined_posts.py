"""Posts of one socket that wait behind each other and are stored by one script: same client, same queue.

A client that does not wait for replies saves the store a script for each post so, and keeps its order also
where the store has to be asked twice.
"""

from __future__ import annotations

from protocol import envelope
from protocol.envelope import Incoming
from protocol.errors import RequestError
from protocol.signed_urls import is_signed

MAX_JOINED = 64
"""Posts that are stored together, at the most."""


def is_post(incoming: Incoming) -> bool:
    """Whether it is a post in order, so that others may be stored together with it."""
    if incoming.failure is not None or incoming.action is None or incoming.action.name != "message_post":
        return False
    if incoming.headers is None or is_signed(incoming.headers):  # its signature is for itself alone
        return False
    try:
        envelope.check(incoming)
    except RequestError:  # it is answered for itself, with that
        return False
    return True


def goes_with(first: Incoming, following: Incoming) -> bool:
    """Whether it is a post in order of the same client, to the same queue, as the `first` one."""
    assert first.headers is not None
    return (
        is_post(following)
        and following.headers is not None
        and following.body.queue_name == first.body.queue_name
        and following.headers.project_id == first.headers.project_id
        and following.headers.client_id == first.headers.client_id
    )

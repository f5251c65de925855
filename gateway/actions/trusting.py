"""Trusts of subscribers that are sent a token of whoever subscribed them (protocol.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from gateway.actions.call import Call
from protocol.errors import BadRequest
from protocol.subscribers import TRUST_ID, is_trusted
from storage.records import Subscription

IN_USE = 10.0
"""Seconds for which a trust is left that another has replaced: what is being sent may still need it."""


async def with_trust(call: Call, subscriber: str, end: float, options: dict[str, Any]) -> dict[str, Any]:
    """The options that a subscriber gets: with a trust, made by the caller, if it is to be sent a token.

    :param end: of the subscription, and so of the trust, in seconds since the epoch.
    :raises BadRequest: the caller has not authenticated by Keystone.
    :raises RequestError: Keystone does not make a trust, as gateway.auth.trusts has it.
    """
    if not is_trusted(subscriber):
        return options
    trusts, identity = call.node.trusts, call.client.identity
    if trusts is None:
        raise BadRequest(
            "subscriber cannot be sent a token: this gateway does not authenticate by Keystone. "
            "Take http or https without trust+"
        )
    if identity is None or identity.grant is None:
        raise BadRequest("subscriber can be sent a token of Keystone's only: authenticate with one yourself")
    return {**options, TRUST_ID: await trusts.create(identity.grant.token, call.project, end)}


async def change_trust(
    call: Call, before: Subscription, subscriber: str | None, ttl: int | None, options: dict[str, Any] | None
) -> tuple[str | None, dict[str, Any] | None]:
    """The subscriber and the options to write when a subscription is changed.

    Whoever says what is sent from now on, to where or for how long, does so in their own name. So each change
    makes a new trust, and is written together with the subscriber that the trust is for.
    """
    becomes = before.subscriber if subscriber is None else subscriber
    if not (is_trusted(becomes) or TRUST_ID in before.options):
        return subscriber, options
    if options is None:
        options = {name: value for name, value in before.options.items() if name != TRUST_ID}
    end = time() + (before.ttl - before.age if ttl is None else ttl)
    return becomes, await with_trust(call, becomes, end, options)


def end_trust(call: Call, options: Mapping[str, Any] | None, delay: float = 0.0) -> None:
    """Delete the trust of options that nobody has any more, or never had: if that can be done.

    :param delay: seconds to wait before.
    """
    trust = None if options is None else options.get(TRUST_ID)
    if isinstance(trust, str) and call.node.trusts is not None:
        call.node.trusts.delete(trust, call.project, delay)

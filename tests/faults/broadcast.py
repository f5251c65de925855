"""Posts to subscribers while faults happen, and compares what they heard to what the queue holds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from tests.faults.load import all_messages
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.reactor import wait_until

QUEUE = "news"
POSTERS = 4
PAD = "x" * 6000
"""Too large to be told with its announcement."""


def broadcast(
    gateways: Gateway | Sequence[Gateway],
    count: int,
    *,
    every: int,
    fault: Callable[[], None],
    heal: Callable[[], None] | None = None,
    failover: bool = False,
) -> int:
    """Post to subscribers of both forms, with a fault every so many posts; returns how many were stored.

    Posters and subscribers are spread over the gateways. All must have heard exactly what the queue holds, in
    its order. With a `failover` they may have heard more: what was not acknowledged and is lost, and a
    delayed message again if the end of its delay is lost.
    """
    with ExitStack() as open_clients:
        # Several post at a time, so that something is posted at every moment of a connection's life.
        nodes = itertools.cycle([gateways] if isinstance(gateways, Gateway) else gateways)
        posters = [open_clients.enter_context(Client(next(nodes).url, project="one")) for _ in range(POSTERS)]
        poster = posters[0]
        subscribers = [
            open_clients.enter_context(Client(next(nodes).url, project="one", form=form))
            for form in ("json", "msgpack", "json")
        ]
        for subscriber in subscribers:
            done(subscriber.request("subscription_create", {"queue_name": QUEUE}), 201)
        acknowledged = []
        for number in range(count):
            posters[number % POSTERS].send(
                "message_post", {"queue_name": QUEUE, "messages": [_message(number)]}
            )
            if number >= POSTERS - 1:
                acknowledged += _acknowledged(posters[(number + 1) % POSTERS])
            if number % every == every // 2:
                fault()
            elif heal is not None and number % every == every // 2 + 1:
                heal()
        for number in range(count, count + POSTERS - 1):
            acknowledged += _acknowledged(posters[(number + 1) % POSTERS])
        # Its delay is the last to end: then all that was posted is in the queue.
        last = _post_last(poster, delay=1)
        held = _wait_message(poster, last)
        assert set(acknowledged) <= set(held)
        for subscriber in subscribers:
            if failover:
                while _heard(subscriber)[-1:] != [-1]:
                    subscriber.wait_notifications(len(subscriber.notifications) + 1, timeout=30)
                latest = dict.fromkeys(number for number in reversed(_heard(subscriber)) if number in held)
                assert list(latest)[::-1] == held
                continue
            subscriber.wait_notifications(len(held), timeout=30)
            assert _heard(subscriber) == held
        # What would be told twice would be told before what is posted now.
        _post_last(poster)
        for subscriber in subscribers if not failover else []:
            subscriber.wait_notifications(len(held) + 1)
            assert _heard(subscriber)[len(held) :] == [-1]
        return len(acknowledged)


def _heard(subscriber: Client) -> list[int]:
    return [told["body"]["n"] for told in subscriber.notifications]


def _message(number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"body": {"n": number, "pad": PAD if number % 7 == 0 else ""}}
    if number % 50 == 20:
        message["delay"] = 1
    return message


def _acknowledged(poster: Client) -> list[int]:
    """What the next reply says is stored: one number, or none."""
    reply = poster.receive_reply()
    assert reply.status in (201, 503), reply.document
    return [reply.request["body"]["messages"][0]["body"]["n"]] if reply.status == 201 else []


def _post_last(poster: Client, delay: int = 0) -> str:
    """Post one more message when the store takes it again; its id."""
    message = {"body": {"n": -1, "pad": ""}, "delay": delay}
    replies = []

    def posted() -> bool:
        replies.append(poster.request("message_post", {"queue_name": QUEUE, "messages": [message]}))
        return replies[-1].status == 201

    wait_until(posted, interval=0.05)
    message_id: str = replies[-1].body["message_ids"][0]
    return message_id


def _wait_message(client: Client, message_id: str) -> list[int]:
    """Wait until a message is visible; the numbers of all that are."""
    messages: list[dict[str, Any]] = []

    def visible() -> bool:
        messages[:] = all_messages(client, QUEUE)
        return any(message["id"] == message_id for message in messages)

    wait_until(visible, interval=0.1)
    return [message["body"]["n"] for message in messages]

"""Every change of a queue that is being copied is noted, and copied too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage.records import DeadLetter
from tests.storage.redis.moving.conftest import Moving, deliver
from tests.support.moves import contents, fill, subscribe
from tests.support.reactor import run
from tests.support.store import FOREVER, LiveQueue


def forget_first(live: LiveQueue) -> None:
    pass_time(live, 700)
    live.post_once("e", "new")


State = dict[str, Any]


def deliver_and_forget(live: LiveQueue, state: State) -> None:
    run(live.store.forget_dead_letter, live.queue, state["letter"])
    run(live.store.dead_letter_arrived, live.queue, state["letter"], live.queue)


def forget_origins(live: LiveQueue, state: State) -> None:
    live.advance(FOREVER + 1)
    live.post("again")
    deliver(live, 9)


def change_subscription(live: LiveQueue, state: State, **changes: Any) -> None:
    assert run(lambda: live.store.update_subscription(live.queue, state["subscriptions"][0], **changes))


def pass_time(live: LiveQueue, seconds: int) -> None:
    live.advance(seconds)
    live.stats()


def purge_and_go_on(live: LiveQueue, *, messages: bool) -> None:
    live.purge(messages=messages, subscriptions=not messages)
    live.post("new")
    subscribe(live, "http://new")


def swap_subscribers(live: LiveQueue, state: State) -> None:
    one, two, _ = state["subscriptions"]
    for sequence, name in ((one, "x"), (two, "http://a"), (one, "http://b")):
        run(lambda s=sequence, n=name: live.store.update_subscription(live.queue, s, subscriber=n))


def replace_hook(state: State) -> None:
    state["deliveries"].unsubscribe(state["hooks"][0])
    state["deliveries"].subscribe("http://hook/a")


def confirm_hook(live: LiveQueue, state: State) -> None:
    hook = state["hooks"][0]
    state["deliveries"].update(hook, confirmed=False)
    live.post("new")
    state["deliveries"].update(hook, confirmed=True)


def miss(live: LiveQueue, state: State) -> None:
    live.delete(live.post("new")[0])
    assert state["deliveries"].page(state["hooks"][0]).gap


CHANGES: dict[str, Callable[[LiveQueue, State], Any]] = {
    "post": lambda live, state: live.post("new", "newer"),
    "post once": lambda live, state: live.post_once("e", "new"),
    "forget what was posted once": lambda live, state: forget_first(live),
    "post with delay": lambda live, state: live.post("new", delay=5),
    "delete": lambda live, state: live.delete(state["free"][0]),
    "delete a delayed one": lambda live, state: live.delete(state["delayed"][0]),
    "delete a claimed one": lambda live, state: live.delete(state["claimed"][0], state["claim"]),
    "delete many": lambda live, state: live.delete_many(*state["free"], *state["claimed"]),
    "pop": lambda live, state: live.pop(2),
    "claim": lambda live, state: live.claim(limit=2),
    "claim what expires": lambda live, state: live.claim(limit=2, ttl=7200),
    "update a claim": lambda live, state: live.update(state["claim"], ttl=30),
    "update a claim of what expires": lambda live, state: live.update(state["claim"], ttl=7200),
    "release": lambda live, state: live.release(state["claim"]),
    "dead letters leave": lambda live, state: live.claim(dead_letter=DeadLetter(0, "dead", None)),
    "a dead letter arrives": lambda live, state: deliver(live),
    "a dead letter has arrived": deliver_and_forget,
    "origins are forgotten": forget_origins,
    "purge": lambda live, state: live.purge(),
    "purge messages, then post": lambda live, state: purge_and_go_on(live, messages=True),
    "purge subscriptions, then subscribe": lambda live, state: purge_and_go_on(live, messages=False),
    "subscribe": lambda live, state: subscribe(live, "http://d"),
    "subscribe for a while": lambda live, state: subscribe(live, "http://d", 60),
    "unsubscribe": lambda live, state: run(live.store.unsubscribe, live.queue, state["subscriptions"][1]),
    "unsubscribe by name": lambda live, state: run(live.store.unsubscribe_subscriber, live.queue, "http://c"),
    "other options": lambda live, state: change_subscription(live, state, options={"b": 2}),
    "another ttl": lambda live, state: change_subscription(live, state, ttl=60),
    "another subscriber": lambda live, state: change_subscription(live, state, subscriber="http://e"),
    "subscribers swapped": swap_subscribers,
    "subscribe a hook": lambda live, state: state["deliveries"].subscribe("http://hook/c"),
    "unsubscribe a hook": lambda live, state: state["deliveries"].unsubscribe(state["hooks"][0]),
    "a hook in place of another": lambda live, state: replace_hook(state),
    "a hook confirms": confirm_hook,
    "another hook": lambda live, state: state["deliveries"].update(state["hooks"][0], subscriber="http://x"),
    "a socket becomes a hook": lambda live, state: change_subscription(
        live, state, subscriber="http://e", deliver=True
    ),
    "delivered": lambda live, state: state["deliveries"].delivered(state["hooks"][0], live.post("new")[0]),
    "postponed": lambda live, state: state["deliveries"].postponed(state["hooks"][1], 5),
    "given up": lambda live, state: state["deliveries"].failed(state["hooks"][0], live.post("new")[0]),
    "missed": miss,
    "delays end": lambda live, state: pass_time(live, 60),
    "claims end": lambda live, state: pass_time(live, 90),
    "messages and subscriptions expire": lambda live, state: pass_time(live, 3601),
    "everything ends": lambda live, state: pass_time(live, FOREVER),
}


@pytest.mark.parametrize("when", ["copied", "half copied", "not copied"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noted(move: Moving, change: str, when: str) -> None:
    live = move.live
    state = fill(live)
    state["letter"] = deliver(live, 5)
    move.begin()
    if when == "copied":
        move.copy()
        there, here = move.both()
        assert there == here
    elif when == "half copied":
        move.copy("claimed", "claims", "subscriptions")
    before = contents(live.store, live.queue)
    CHANGES[change](live, state)
    assert contents(live.store, live.queue) != before
    if when != "copied":
        move.copy(*(["free", "delayed", "origins", "lost", "firsts"] if when == "half copied" else []))
    move.catch_up()
    there, here = move.both()
    assert there == here
    assert move.leave().stats() is not None

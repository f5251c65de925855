"""What operations cost: nothing for what is claimed, expired or delayed in front; and little memory.

Server commands are counted (INFO commandstats), not seconds: the number is the same in every run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

import pytest

from bench.store import memory
from storage.records import Start
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import LiveQueue, connected

LONG = 10_000
IN_FRONT = LONG * 9 // 10

MEMORY_LIMITS = {"valkey": 350, "redis7": 480}
"""Bytes of used_memory per free message of 100 bytes."""


def build(live: LiveQueue, front: str) -> LiveQueue:
    """A long queue of which nine tenths cannot be had, in front of the rest."""
    live.post_many(IN_FRONT, ttl=60 if front == "expired" else 3600, delay=900 if front == "delayed" else 0)
    live.post_many(LONG - IN_FRONT)
    if front == "claimed":
        for _ in range(0, IN_FRONT, 20):
            live.claim(ttl=3600, limit=20)
    if front == "expired":
        live.advance(61)
        run(live.store.sweep, live.queue)
    return live


def commands(server: Server, action: Callable[[], object]) -> dict[str, int]:
    """The commands that an action makes the server execute, those of its scripts too."""
    client = server.client()
    client.config_resetstat()
    action()
    stats = client.info("commandstats")
    ours = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
    return {name: calls for name, calls in ours.items() if name not in ("info", "config|resetstat", "time")}


@pytest.mark.parametrize("front", ["claimed", "expired", "delayed"])
def test_what_stands_in_front_costs_nothing(valkey: Server, front: str) -> None:
    with connected(valkey) as store:
        short = LiveQueue(store)
        short.post_many(100)
        long = build(LiveQueue(store), front)
        actions: list[Callable[[LiveQueue], object]] = [
            lambda live: live.claim(uuid.uuid4().bytes, limit=10),
            lambda live: live.page(limit=10),
            lambda live: live.page(Start(), 10, not_from=bytes(16)),
            lambda live: live.stats(),
            lambda live: live.pop(10),
        ]
        for action in actions:
            # The first call makes the server load the script, and the queue note when something comes due.
            action(short)
            action(long)
            assert commands(valkey, partial(action, long)) == commands(valkey, partial(action, short))


@pytest.mark.parametrize("store_server", list(MEMORY_LIMITS), indirect=True)
def test_a_message_takes_little_memory(request: pytest.FixtureRequest, store_server: Server) -> None:
    kind = request.node.callspec.params["store_server"]
    with connected(store_server, timeout=60) as store:
        figures = run(memory, reactor, store, store_server.client(), 100_000, timeout=120)
    assert figures["free"] <= MEMORY_LIMITS[kind]

"""Queues that move between two stores: all that a store has of one, and a mover whose steps are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from storage.base import DeadLetter, Queue
from storage.mover import Mover, Progress
from storage.redis.moving import RedisMoves
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.reactor import reactor, run
from tests.support.store import BOB, LiveQueue, new_claim

_READ: dict[bytes, tuple[str | int, ...]] = {
    b"hash": ("HGETALL",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
}
KEYS = (
    *(
        "head",
        "messages",
        "free",
        "claimed",
        "delayed",
        "due",
        "expiry",
        "states",
        "claims",
        "leases",
        "held",
    ),
    *("outbox", "origins", "subscriptions", "subscribers", "subscription_order", "subscription_expiry"),
    *("noted", "taken"),
)
"""The names of a queue's keys."""

OF_A_MOVE = ("noted", "taken")
OF_A_MOVE_IN_HEAD = (b"move", b"arriving", b"arrived", b"wake")


def contents(store: RedisStore, queue: Queue) -> dict[str, Any]:
    """All that a store has of a queue, but for what is of a move alone and when something is due."""
    found: dict[str, Any] = {}
    for name in KEYS:
        value = value_of(store, queue, name)
        if value and name not in OF_A_MOVE:
            found[name] = value
    for field in OF_A_MOVE_IN_HEAD:
        found.get("head", {}).pop(field, None)
    return found


def value_of(store: RedisStore, queue: Queue, name: str) -> Any:
    """The value of one key: a dictionary for a hash, a list otherwise; None if there is none."""
    head = head_key(queue)
    key = head.removesuffix(b"head") + name.encode()
    kind = run(store.client.execute, "TYPE", key, key=head)
    if kind == b"none":
        return None
    command, *arguments = _READ[kind]
    value = run(store.client.execute, command, key, *arguments, key=head)
    return dict(zip(value[::2], value[1::2], strict=True)) if kind == b"hash" else value


def fill(live: LiveQueue) -> dict[str, Any]:
    """Put some of everything that there can be into a queue. What is in it, by name."""
    bury(live, 3)
    free = live.post(*range(10))
    delayed = live.post("late", "later", delay=60) + live.post("latest", delay=120)
    claim, other = new_claim(), new_claim()
    claimed = [message.sequence for message in live.claim(claim, limit=3).messages]
    live.claim(other, ttl=90, limit=2)
    freed = new_claim()
    live.claim(freed, limit=1)
    live.release(freed)
    subscriptions = [subscribe(live, f"http://{name}") for name in "abc"]
    return {
        "free": free[6:],
        "delayed": delayed,
        "claim": claim,
        "claimed": claimed,
        "other": other,
        "subscriptions": subscriptions,
    }


def subscribe(live: LiveQueue, subscriber: str, ttl: int = 3600) -> int:
    """A subscription that nobody has yet; its sequence."""
    sequence = run(lambda: live.store.subscribe(live.queue, subscriber, ttl, {"a": 1}, confirmed=True))
    assert sequence is not None
    return sequence


def bury(live: LiveQueue, count: int = 1) -> None:
    """Have all free messages, and so many new ones, go to the outbox."""
    live.post_many(count, client=BOB)
    assert live.claim(limit=20, dead_letter=DeadLetter(0, "dead", None)).dead_lettered >= count


class Halted(Exception):
    """The mover was stopped dead."""


class Steps:
    """A mover whose calls to the stores and the catalog are counted, and held up one by one if wanted.

    :param before: called with the number and name of each call before it is made; what it raises is raised
        in the mover, and a Deferred is awaited.
    """

    def __init__(
        self,
        catalog: Any,
        source: RedisStore,
        target: RedisStore,
        before: Callable[[int, str], Any] = lambda number, name: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        lease: float = 60.0,
    ) -> None:
        self.before = before
        self.count = 0
        self.names: list[str] = []
        parts = (catalog, RedisMoves(source, lease), RedisMoves(target, lease))
        self.mover = Mover(reactor, *(_Watched(part, self) for part in parts), on_progress)

    async def step(self, name: str) -> None:
        number, self.count = self.count, self.count + 1
        self.names.append(name)
        waiting = self.before(number, name)
        if isinstance(waiting, Deferred):
            await waiting


class _Watched:
    """Something whose methods are steps."""

    def __init__(self, part: Any, steps: Steps) -> None:
        self._part = part
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._steps.step(name)
            return await found(*arguments, **named)

        return call

"""Queues that move between two stores: all that a store has of one, and a mover whose steps are counted."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from storage.base import Catalog
from storage.mover import Mover
from storage.records import DeadLetter, Queue
from storage.redis.moving import RedisMoves
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.deliveries import Deliveries
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
    *("deliveries", "delivery_order"),
    *("lost", "firsts", "firsts_expiry"),
    *("noted", "taken"),
)
"""The names of a queue's keys."""

TIMEOUT = 30.0
"""Seconds that one call of a mover may take."""

OF_A_MOVE = ("noted", "taken")
OF_A_MOVE_IN_HEAD = (b"move", b"arriving", b"arrived", b"wake")
OF_A_SERVER_IN_HEAD = (b"timelines", b"owner")


def contents(store: RedisStore, queue: Queue) -> dict[str, Any]:
    """All that a store has of a queue, but for what is of a move alone and when something is due."""
    found: dict[str, Any] = {}
    for name in KEYS:
        value = value_of(store, queue, name)
        if value and name not in OF_A_MOVE:
            found[name] = value
    for field in (*OF_A_MOVE_IN_HEAD, *OF_A_SERVER_IN_HEAD):
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
    live.post_once("d", "once")
    free = live.post(*range(10))
    delayed = live.post("late", "later", delay=60) + live.post("latest", delay=120)
    claim, other = new_claim(), new_claim()
    claimed = [message.sequence for message in live.claim(claim, limit=3).messages]
    live.claim(other, ttl=90, limit=2)
    freed = new_claim()
    live.claim(freed, limit=1)
    live.release(freed)
    subscriptions = [subscribe(live, f"http://{name}") for name in "abc"]
    deliveries = Deliveries(live).own()
    hooks = [deliveries.subscribe(f"http://hook/{name}") for name in "ab"]
    deliveries.postponed(hooks[0], 2, 100)
    return {
        "free": free[6:],
        "delayed": delayed,
        "claim": claim,
        "claimed": claimed,
        "other": other,
        "subscriptions": subscriptions,
        "deliveries": deliveries,
        "hooks": hooks,
    }


def subscribe(live: LiveQueue, subscriber: str, ttl: int = 3600) -> int:
    """A subscription that nobody has yet; its sequence."""
    made = run(lambda: live.store.subscribe(live.queue, subscriber, ttl, {"a": 1}, confirmed=True))
    assert made is not None
    return made.sequence


def bury(live: LiveQueue, count: int = 1) -> None:
    """Have all free messages, and so many new ones, go to the outbox."""
    live.post_many(count, client=BOB)
    assert live.claim(limit=20, dead_letter=DeadLetter(0, "dead", None)).dead_lettered >= count


class Steps:
    """A mover that stops before each of its calls to the stores and the catalog, until `step` lets it go on.

    It is started at once, and stops before its first call.
    """

    def __init__(
        self, catalog: Catalog, source: RedisStore, target: RedisStore, queue: Queue, to_pool: str
    ) -> None:
        self.waiting: str | None = None
        """The call that comes next; None when it has ended."""
        self.fenced: bool = False
        """Whether requests for the queue would wait."""
        self.done: list[str] = []
        """The calls so far."""
        self._gate: Deferred[None] | None = None
        self._arrived = threading.Event()
        self._failure: BaseException | None = None
        here, there = _Watched(RedisMoves(source), self), _Watched(RedisMoves(target), self)
        self.mover = Mover(reactor, _Watched(catalog, self), here, there)
        run(self._start, queue, to_pool)
        self._arrived.wait(TIMEOUT)

    def step(self) -> str | None:
        """Let the next call be made; the one after that, None at the end. Raises what the mover raises."""
        gate = self._gate
        assert gate is not None, "the mover has ended"
        self._arrived.clear()
        run(gate.callback, None)
        assert self._arrived.wait(TIMEOUT), f"{self.waiting} has not come back"
        if self._failure is not None:
            raise self._failure
        return self.waiting

    def run_until(self, name: str | None) -> None:
        """Go on until this is the next call, or to the end."""
        while self.waiting is not None and self.waiting != name:
            self.step()

    def kill(self) -> None:
        """End it as `kill -9` does: it makes no call any more."""
        self._gate = None

    def _start(self, queue: Queue, to_pool: str) -> None:
        moving: Deferred[None] = Deferred.fromCoroutine(self.mover.run(queue, to_pool))
        moving.addErrback(self._failed).addBoth(self._ended)

    def _failed(self, failure: Failure) -> None:
        self._failure = failure.value

    def _ended(self, _: object) -> None:
        self.waiting = self._gate = None
        self._arrived.set()

    async def stop_before(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Called by the mover before each call."""
        self.waiting = name
        self._gate = Deferred()
        self._arrived.set()
        await self._gate
        self.done.append(name)
        if name == "fence":
            self.fenced = arguments[-1] > 0
        self.fenced = self.fenced and name != "depart"


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
            await self._steps.stop_before(name, arguments)
            return await found(*arguments, **named)

        return call

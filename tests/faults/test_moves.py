"""A queue moves to and fro between servers while clients use it: nothing fails, gets lost or is doubled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import QueueMoved, StaleQueue
from storage.mover import Mover
from storage.pools import Pool
from storage.records import Deleted, NewMessage, Queue, Start
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.support.reactor import reactor, run, sleep, wait_until
from tests.support.servers import Server
from tests.support.store import ALICE, LiveQueue, connected, new_claim, text

MOVES = 6
STOCK = 5000
"""Messages that lie in the queue beside those that come and go."""


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SQLCatalog]:
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    run(catalog.create_pool, Pool("there", "redis://there", weight=0))
    yield catalog
    run(catalog.stop)


class Clients:
    """Clients of one queue that follow it, and a ledger of what they were told."""

    def __init__(self, stores: dict[str, RedisStore], queue: Queue) -> None:
        self.stores = stores
        self.queue = queue
        self.pool = "default"
        self.running = True
        self.posted: set[int] = set()
        self.taken: Counter[int] = Counter()
        self.requests = 0
        self._numbers = iter(range(STOCK, 10**9))

    async def ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call the store that the queue is in, which it says where it was."""
        while True:
            store = self.stores[self.pool]
            try:
                answer = await getattr(store, method)(self.queue, *arguments, **named)
                break
            except StaleQueue:
                try:
                    await store.create(self.queue)
                except QueueMoved as moved:
                    self.pool = moved.pool
        self.requests += 1
        return answer

    async def post(self) -> None:
        """Post in order, and see that the sequences grow."""
        last = 0
        while self.running:
            batch = [next(self._numbers) for _ in range(3)]
            messages = [NewMessage(text(number), 3600, int(number % 7 == 0)) for number in batch]
            sequences = await self.ask("post", messages, ALICE)
            assert sequences[0] > last
            last = sequences[-1]
            self.posted.update(batch)

    async def work(self) -> None:
        """Claim, renew, and delete or release."""
        turn = 0
        while self.running:
            claim = new_claim()
            claimed = await self.ask("create_claim", claim, 60, 60, 5, None)
            turn += 1
            if turn % 3 == 0:
                assert not claimed.messages or await self.ask("update_claim", claim, 90, 60)
            if turn % 5 == 0:
                await self.ask("release_claim", claim)
                continue
            for message in claimed.messages:
                assert message.claim_id == claim
                self.taken[json.loads(message.body.data)] += 1
                deleted = await self.ask("delete_message", message.sequence, claim)
                assert deleted is Deleted.DONE, (deleted, message)

    async def pop(self) -> None:
        while self.running:
            popped = await self.ask("pop_messages", 2, None)
            self.taken.update(json.loads(message.body.data) for message in popped.messages)
            await sleep(0.002)

    async def subscribe(self) -> None:
        turn = 0
        while self.running:
            name, turn = f"http://{turn}", turn + 1
            sequence = await self.ask("subscribe", name, 60, {}, confirmed=True)
            assert sequence is not None
            if turn > 20:
                old = f"http://{turn - 20}"
                await self.ask("unsubscribe_subscriber", old)
            await sleep(0.002)


def test_a_queue_in_use_moves_to_and_fro(valkey: Server, redis7: Server, catalog: SQLCatalog) -> None:
    for server in (valkey, redis7):
        server.client().flushall()
    with connected(valkey) as here, connected(redis7) as there:
        live = LiveQueue(here, clock_runs=True)
        live.queue, _ = run(catalog.create_queue, "project", "jobs", {})
        run(here.create, live.queue)
        live.post_many(STOCK)
        clients = Clients({"default": here, "there": there}, live.queue)
        clients.posted.update(range(STOCK))

        async def scenario() -> None:
            jobs = [clients.post(), clients.post(), clients.work(), clients.work(), clients.pop()]
            running = gatherResults(
                [Deferred.fromCoroutine(job) for job in (*jobs, clients.subscribe())], consumeErrors=True
            )
            try:
                for number in range(MOVES):
                    pools = ("default", "there") if number % 2 == 0 else ("there", "default")
                    source, target = (RedisMoves(clients.stores[pool]) for pool in pools)
                    queue = await catalog.get_queue("project", "jobs")
                    assert queue is not None and queue.pool == pools[0]
                    await Mover(reactor, catalog, source, target).run(queue, pools[1])
                    before = clients.requests
                    while clients.requests < before + 200 and not running.called:
                        await sleep(0.01)
            finally:
                clients.running = False
            await running

        run(scenario, timeout=120)
        left = Counter(clients.taken)
        last = LiveQueue.through(live, clients.stores[clients.pool])
        wait_until(lambda: last.counts()[2] == 0)  # what becomes visible meanwhile would be listed twice
        place = 0
        while (page := last.page(limit=1000, start=Start(place), claimed=True, delayed=True)).messages:
            places = [message.position for message in page.messages]
            assert places == sorted(set(places))
            left.update(json.loads(message.body.data) for message in page.messages)
            place = page.position
        assert set(left) == clients.posted
        assert {number: count for number, count in left.items() if count > 1} == {}

"""The steps of `tests.properties.machine` on a queue that moves between two stores meanwhile."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from storage.catalog.sql import SQLCatalog
from storage.records import NewMessage
from storage.redis.store import RedisStore
from tests.properties.deliveries_machine import DeliveriesMachine
from tests.properties.machine import posting
from tests.support.moves import Steps, contents
from tests.support.reactor import run
from tests.support.store import ALICE, STARTED_AT, text

STOCK = 20
"""Messages in the queue at the beginning."""

POOLS = ("default", "there")


class MovingMachine(DeliveriesMachine):
    """A queue used over two connections to the store that it is in, and moved between two.

    Dead letters are delivered only where the queue that takes them is.
    """

    def __init__(self, stores: tuple[tuple[RedisStore, RedisStore], ...], catalog: SQLCatalog) -> None:
        super().__init__(*stores[0])
        self.stores = stores
        self.catalog = catalog
        self.place = 0
        self.moving: Steps | None = None
        old = self.hands[0].queue
        queue, _ = run(catalog.create_queue, f"project-{old.incarnation}", "jobs", {})
        for hand in self.hands:
            hand.queue = queue
        run(stores[0][0].create, queue)
        self.hands[0].move_to(STARTED_AT)
        self.jobs = self.model(self.hands[0].now)
        for pair in stores:
            for store in pair:
                store.scripts.clock_offset = stores[0][0].scripts.clock_offset
        # A move of nothing tells little.
        stock = [NewMessage(text(number), 60 + number, number % 3 * 10) for number in range(STOCK)]
        self.both(0, posting(stock, ALICE))

    @rule(calls=st.integers(1, 12))
    def move_on(self, calls: int) -> None:
        """Let a mover make some calls; a new one if there is none."""
        if self.moving is None:
            source, target = self.stores[self.place][0], self.stores[1 - self.place][0]
            queue = replace(self.hands[0].queue, pool=POOLS[self.place])
            self.moving = Steps(self.catalog, source, target, queue, POOLS[1 - self.place])
        for _ in range(calls):
            if self.moving.waiting == "depart":
                self.leave(self.moving)
                return
            self.moving.step()
        while self.moving.fenced:  # nobody could do anything meanwhile
            if self.moving.waiting == "depart":
                self.leave(self.moving)
                return
            self.moving.step()

    # How many calls a move takes differs from run to run, so no rule's precondition may hang on it.

    @rule()
    def finish_the_move(self) -> None:
        if self.moving is not None:
            self.moving.run_until("depart")
            self.leave(self.moving)

    def leave(self, moving: Steps) -> None:
        """The last calls of a mover: what was here is there, to the last byte."""
        live = self.hands[0]
        before = contents(live.store, live.queue)
        moving.run_until(None)
        self.moving = None
        self.place = 1 - self.place
        self.jobs.owner = None
        for hand, store in zip(self.hands, self.stores[self.place], strict=True):
            hand.store = store
        assert contents(live.store, live.queue) == before

    @rule()
    def kill_the_mover(self) -> None:
        if self.moving is not None:
            self.moving.kill()
            self.moving = None

    @precondition(lambda self: self.jobs.outbox)
    @rule(times=st.integers(1, 2), forget=st.booleans())
    def deliver(self, times: int, forget: bool) -> None:
        if self.place == 0:
            self.deliver_all(times, forget)

    def teardown(self) -> None:
        if self.moving is not None:
            self.moving.kill()

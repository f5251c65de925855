"""The steps of `tests.properties.machine` on a queue that is delivered to subscribers too, by two owners."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, precondition, rule

from storage.base import MessageStore
from storage.deliveries import Delivery
from storage.records import NewMessage, Queue
from tests.properties.deliveries_model import DeliveriesModel
from tests.properties.machine import MOST, Operation, StoreMachine, hands, limits, posting
from tests.support.deliveries import ALPHA, OMEGA
from tests.support.reactor import run
from tests.support.store import ALICE, put_on_timeline, text

MOST_HOOKS = 4

owners = st.sampled_from([ALPHA, OMEGA])
names = st.sampled_from([f"http://{name}" for name in "abcdef"])
lifetimes = st.integers(1, 120)
errors = st.sampled_from(["refused", "timeout", "é" * 10])
graves = st.none() | st.tuples(st.just("dead"), st.none() | st.integers(1, 60))

_timelines = itertools.count()


class Read(NamedTuple):
    """A message that somebody read for a subscription."""

    hook: int
    sequence: int
    position: int


class Turn(NamedTuple):
    """What one who delivers does, or who believes that it does, and how it ends."""

    hand: int
    posted: int
    """Messages that come before."""
    is_owner: bool
    which: int
    """Which of the subscriptions."""
    limit: int
    outcome: str
    error: str
    grave: tuple[str, int | None] | None


turns = st.builds(
    Turn,
    hands,
    st.integers(0, 3),
    st.sampled_from([True, True, True, False]),
    st.integers(0, MOST_HOOKS - 1),
    limits,
    st.sampled_from(["delivered", "in disorder", "postponed", "given up", "nothing"]),
    errors,
    graves,
)


class DeliveriesMachine(StoreMachine):
    """All subscriptions are delivered to; their deliveries are owned by one, by another, or by nobody."""

    jobs: DeliveriesModel
    model = DeliveriesModel
    hooks: Bundle[int] = Bundle("hooks")
    read: Bundle[Read] = Bundle("read")

    # Subscriptions

    @precondition(lambda self: len(self.jobs.hooks) < MOST_HOOKS)
    @rule(target=hooks, hand=hands, name=names, ttl=lifetimes, confirmed=st.booleans())
    def subscribe(self, hand: int, name: str, ttl: int, confirmed: bool) -> Any:
        async def subscribe(store: MessageStore, queue: Queue) -> int | None:
            made = await store.subscribe(queue, name, ttl, {}, confirmed=confirmed, deliver=True)
            return None if made is None else made.sequence

        made = self.both(hand, Operation(subscribe, lambda m: m.subscribe(name, ttl, confirmed)))
        return multiple(*[made] * (made is not None))

    @rule(
        hand=hands,
        hook=hooks,
        name=st.none() | names,
        ttl=st.none() | lifetimes,
        confirmed=st.none() | st.booleans(),
        keep_place=st.booleans(),
    )
    def update_subscription(
        self,
        hand: int,
        hook: int,
        name: str | None,
        ttl: int | None,
        confirmed: bool | None,
        keep_place: bool,
    ) -> None:
        async def update(store: MessageStore, queue: Queue) -> bool | None:
            return await store.update_subscription(
                queue,
                hook,
                subscriber=name,
                ttl=ttl,
                confirmed=confirmed,
                deliver=True,
                keep_place=keep_place,
            )

        self.both(hand, Operation(update, lambda m: m.update(hook, name, ttl, confirmed, keep_place)))

    @precondition(lambda self: self.jobs.hooks)
    @rule(
        hand=hands,
        which=st.integers(0, MOST_HOOKS),
        name=st.none() | names,
        confirmed=st.none() | st.booleans(),
    )
    def update_a_live_subscription(
        self, hand: int, which: int, name: str | None, confirmed: bool | None
    ) -> None:
        hooks = list(self.jobs.hooks)
        self.update_subscription(hand, hooks[min(which, len(hooks) - 1)], name, None, confirmed, False)
        self.look_at_deliveries()

    @rule(hand=hands, hook=hooks)
    def unsubscribe(self, hand: int, hook: int) -> None:
        self.both(hand, Operation(lambda s, q: s.unsubscribe(q, hook), lambda m: m.unsubscribe(hook)))

    @precondition(lambda self: len(self.jobs.hooks) == MOST_HOOKS)
    @rule(hand=hands)
    def purge_subscriptions(self, hand: int) -> None:
        self.hands[hand].purge(messages=False)
        self.jobs.purge_subscriptions()

    # Owners

    @rule(hand=hands, owner=owners)
    def own(self, hand: int, owner: bytes) -> None:
        self.both(hand, Operation(lambda s, q: s.own_deliveries(q, owner), lambda m: m.own(owner)))

    @rule()
    def take_over(self) -> None:
        """Another server has the queue now, and has lost nothing."""
        timeline = next(_timelines).to_bytes(8, "big")
        for hand in self.hands:
            put_on_timeline(hand.store, timeline)
        self.jobs.owner = None

    @rule(hand=hands, owner=owners, after=st.just(0) | hooks, limit=limits)
    def list_deliveries(self, hand: int, owner: bytes, after: int, limit: int) -> None:
        async def read(store: MessageStore, queue: Queue) -> list[Delivery] | None:
            found = await store.deliveries(queue, owner, after, limit)
            # Of a server, and not of the model.
            return None if found is None else [replace(each, timeline=b"") for each in found]

        self.both(hand, Operation(read, lambda m: m.deliveries(owner, after, limit)))

    @rule(target=read, hand=hands, owner=owners, after=read, limit=limits)
    def read_further(self, hand: int, owner: bytes, after: Read, limit: int) -> Any:
        """Read behind what was read before, delivered or not."""
        return multiple(*self.read_behind(hand, owner, after.hook, after.position, limit))

    def read_behind(self, hand: int, owner: bytes, hook: int, after: int, limit: int) -> list[Read]:
        page = self.both(
            hand,
            Operation(
                lambda s, q: s.undelivered(q, owner, hook, after, limit),
                lambda m: m.undelivered(owner, hook, after, limit),
            ),
        )
        messages = [] if page is None else page.messages
        return [Read(hook, message.sequence, message.position) for message in messages]

    @rule(hand=hands, owner=owners, what=read, count=st.integers(1, 5))
    def deliver_to_hook(self, hand: int, owner: bytes, what: Read, count: int) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.delivered(q, owner, what.hook, what.position, count),
                lambda m: m.delivered(owner, what.hook, what.position, count),
            ),
        )

    @rule(hand=hands, owner=owners, hook=hooks, attempts=st.integers(1, 9), seconds=lifetimes, error=errors)
    def postpone(self, hand: int, owner: bytes, hook: int, attempts: int, seconds: int, error: str) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.delivery_postponed(q, owner, hook, attempts, seconds, error),
                lambda m: m.postponed(owner, hook, attempts, seconds, error),
            ),
        )

    @rule(hand=hands, owner=owners, what=read, error=errors, grave=graves)
    def give_up(
        self, hand: int, owner: bytes, what: Read, error: str, grave: tuple[str, int | None] | None
    ) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.delivery_failed(q, owner, *what, error, grave),
                lambda m: m.given_up(owner, *what, error, grave),
            ),
        )

    @precondition(lambda self: self.jobs.hooks and len(self.jobs.messages) < MOST)
    @rule(target=read, taken=st.lists(turns, min_size=1, max_size=8))
    def deliver_for_a_while(self, taken: list[Turn]) -> Any:
        return multiple(*[read for turn in taken for read in self.take(turn)])

    def take(self, turn: Turn) -> list[Read]:
        if turn.posted:
            self.both(turn.hand, posting([NewMessage(text("news"), 60)] * turn.posted, ALICE))
        if not self.jobs.hooks:
            return []
        if self.jobs.owner is None:
            self.own(turn.hand, ALPHA)
        owner = self.jobs.owner if turn.is_owner else b"nobody--"
        assert owner is not None
        hooks = list(self.jobs.hooks.values())
        if not hooks:  # the last one has ended meanwhile
            return []
        hook = hooks[min(turn.which, len(hooks) - 1)]
        found = self.read_behind(turn.hand, owner, hook.sequence, hook.position, turn.limit)
        match turn.outcome:
            case "postponed":
                self.postpone(turn.hand, owner, hook.sequence, turn.limit, 60, turn.error)
            case "given up" if found:
                self.give_up(turn.hand, owner, found[0], turn.error, turn.grave)
            case "delivered" | "in disorder" if found:
                self.deliver_to_hook(turn.hand, owner, found[-1], len(found))
        if found and turn.outcome == "in disorder":  # what was said before comes late
            self.deliver_to_hook(turn.hand, owner, found[0], 1)
        self.look_at_deliveries()
        return found

    # All of it

    @rule()
    def look_at_deliveries(self) -> None:
        live = self.hands[0]
        if self.jobs.owner is not None:
            self.list_deliveries(0, self.jobs.owner, 0, 1000)
        for hook in list(self.jobs.hooks):
            found = run(live.store.get_subscription, live.queue, hook)
            assert (None if found is None else found.delivery) == self.jobs.counts(hook)
        swept = run(live.store.sweep, live.queue)
        self.jobs.sweep()
        assert swept.deliveries == bool(self.jobs.hooks)
        assert swept.visible == self.jobs.visible

"""Steps of many kinds on a queue of a real store, each compared to what the model answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, precondition, rule
from twisted.internet.defer import Deferred, gatherResults

from storage.base import MessageStore
from storage.errors import QueueFull
from storage.records import Claimed, Consumer, DeadLetter, NewMessage, Origin, Queue, Room, Start
from storage.redis.store import RedisStore
from tests.properties.model import QueueModel
from tests.support.reactor import run
from tests.support.store import ALICE, BOB, SECOND, LiveQueue, new_claim, text

MOST = 100
"""Messages in the queue, at the most: more than a script handles in one call would be needed to matter."""

clients = st.sampled_from([ALICE, BOB])
hands = st.integers(0, 1)
ttls = st.integers(1, 30)
graces = st.integers(0, 20)
limits = st.integers(1, 6)
starts = st.builds(Start, st.just(0)) | st.builds(Start, st.integers(0, 2 * 10**15))
delays = st.just(0) | st.integers(0, 20)
new_messages = st.builds(
    NewMessage, st.integers(0, 99).map(text), st.integers(1, 60), delays, st.none(), st.just(b"")
)
rooms = st.builds(Room, st.integers(0, 40), st.integers(0, 1000))
pairs = st.tuples(*[st.sampled_from(["claim", "pop", "post", "delete"])] * 2).filter(
    # A post moves the time by a microsecond, and the claim's start would not tell which came first.
    lambda kinds: set(kinds) != {"claim", "post"}
)
tokens = st.sampled_from([b"consumer", b"the next"])
dead_letters = st.none() | st.builds(
    DeadLetter, st.integers(0, 3), st.just("dead"), st.none() | st.integers(1, 60)
)


@dataclass
class Operation:
    """The same thing, to be done with the store and with the model."""

    on_store: Callable[[MessageStore, Queue], Coroutine[Any, Any, Any]]
    on_model: Callable[[Any], Any]


def posting(sent: list[NewMessage], client: bytes, room: Room = Room()) -> Operation:  # noqa: B008  # immutable
    async def post(store: MessageStore, queue: Queue) -> list[int] | str:
        assert isinstance(store, RedisStore)
        store.room = room
        try:
            return await store.post(queue, sent, client)
        except QueueFull as full:
            return full.limit

    return Operation(post, lambda m: m.post(sent, client, room))


def claiming(claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None) -> Operation:
    return Operation(
        lambda s, q: s.create_claim(q, claim, ttl, grace, limit, dead_letter),
        lambda m: m.claim(claim, ttl, grace, limit, dead_letter),
    )


def deleting(sequence: int, claim: bytes | None) -> Operation:
    return Operation(
        lambda s, q: s.delete_message(q, sequence, claim), lambda m: m.delete_message(sequence, claim)
    )


def popping(limit: int, dead_letter: DeadLetter | None) -> Operation:
    async def pop(store: MessageStore, queue: Queue) -> Claimed:
        told = await store.pop_messages(queue, limit, dead_letter)
        # The claim that a pop shows is the store's own invention.
        assert all(message.claim_id for message in told.messages)
        return replace(told, messages=[message._replace(claim_id=b"") for message in told.messages])

    return Operation(pop, lambda m: m.claim(b"", 1, 0, limit, dead_letter, pop=True))


class StoreMachine(RuleBasedStateMachine):
    """A queue, and the one that takes its dead letters, used over two connections."""

    sequences: Bundle[int] = Bundle("sequences")
    claims: Bundle[bytes] = Bundle("claims")
    positions: Bundle[int] = Bundle("positions")
    consumers: Bundle[Consumer] = Bundle("consumers")
    model = QueueModel

    def __init__(self, first: RedisStore, second: RedisStore) -> None:
        super().__init__()
        jobs = LiveQueue(first)
        self.hands = [jobs, jobs.through(second)]
        self.jobs = self.model(jobs.now)
        self.dead_queue = LiveQueue(first, "dead")
        self.dead = QueueModel(self.dead_queue.now)

    def both(self, hand: int, operation: Operation) -> Any:
        """Do it with both; the answers have to be equal."""
        live = self.hands[hand]
        answer = run(operation.on_store, live.store, live.queue)
        assert answer == operation.on_model(self.jobs)
        return answer

    # Messages

    @precondition(lambda self: len(self.jobs.messages) < MOST)
    @rule(target=sequences, hand=hands, client=clients, sent=st.lists(new_messages, min_size=1, max_size=8))
    def post(self, hand: int, client: bytes, sent: list[NewMessage]) -> Any:
        return multiple(*self.both(hand, posting(sent, client)))

    # Not into `sequences`: what fits may hang on which of two operations at once came first.
    @precondition(lambda self: len(self.jobs.messages) < MOST)
    @rule(hand=hands, sent=st.lists(new_messages, min_size=1, max_size=4), room=rooms)
    def post_what_may_not_fit(self, hand: int, sent: list[NewMessage], room: Room) -> None:
        self.both(hand, posting(sent, ALICE, room))

    @rule(hand=hands, asked=st.lists(sequences, max_size=5))
    def get(self, hand: int, asked: list[int]) -> None:
        self.both(hand, Operation(lambda s, q: s.get_messages(q, asked), lambda m: m.get_messages(asked)))

    @rule(hand=hands, sequence=sequences, claim=st.none() | st.just(b"") | claims)
    def delete(self, hand: int, sequence: int, claim: bytes | None) -> None:
        self.both(hand, deleting(sequence, claim))

    @rule(
        hand=hands,
        asked=st.lists(sequences, max_size=4),
        named=st.none() | st.lists(claims, max_size=3),
    )
    def delete_many(self, hand: int, asked: list[int], named: list[bytes] | None) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.delete_messages(q, asked, named), lambda m: m.delete_messages(asked, named)
            ),
        )

    @rule(
        target=positions,
        hand=hands,
        start=starts | positions.map(Start) | sequences.map(lambda number: Start(number, True)),
        limit=limits | st.just(1000),
        not_from=st.none() | clients,
        claimed=st.booleans(),
        delayed=st.booleans(),
    )
    def list_messages(
        self, hand: int, start: Start, limit: int, not_from: bytes | None, claimed: bool, delayed: bool
    ) -> int:
        found = self.hands[hand].page(start, limit, not_from=not_from, claimed=claimed, delayed=delayed)
        assert found == self.jobs.list_messages(
            start, limit, not_from=not_from, claimed=claimed, delayed=delayed
        )
        return found.position

    @rule(hand=hands, limit=limits, dead_letter=dead_letters)
    def pop(self, hand: int, limit: int, dead_letter: DeadLetter | None) -> None:
        self.both(hand, popping(limit, dead_letter))

    @precondition(lambda self: len(self.jobs.messages) > MOST // 3)
    @rule(hand=hands)
    def purge(self, hand: int) -> None:
        self.hands[hand].purge()
        self.jobs.purge()

    # Claims

    @rule(target=claims, hand=hands, ttl=ttls, grace=graces, limit=limits, dead_letter=dead_letters)
    def claim(self, hand: int, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None) -> Any:
        claim = new_claim()
        taken = self.both(hand, claiming(claim, ttl, grace, limit, dead_letter))
        # An empty claim is none.
        return multiple(*[claim] * bool(taken.messages))

    @rule(hand=hands, claim=claims, ttl=ttls, grace=graces, limit=limits, dead_letter=dead_letters)
    def claim_again(
        self, hand: int, claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None
    ) -> None:
        self.both(hand, claiming(claim, ttl, grace, limit, dead_letter))

    @rule(hand=hands, claim=claims)
    def get_claim(self, hand: int, claim: bytes) -> None:
        self.both(hand, Operation(lambda s, q: s.get_claim(q, claim), lambda m: m.get_claim(claim)))

    @rule(hand=hands, claim=claims, ttl=ttls, grace=graces)
    def update(self, hand: int, claim: bytes, ttl: int, grace: int) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.update_claim(q, claim, ttl, grace), lambda m: m.update_claim(claim, ttl, grace)
            ),
        )

    @precondition(lambda self: self.jobs.claims)
    @rule(hand=hands, which=st.integers(0, 3), ttl=ttls, grace=graces)
    def update_a_live_one(self, hand: int, which: int, ttl: int, grace: int) -> None:
        live = list(self.jobs.claims)
        self.update(hand, live[min(which, len(live) - 1)], ttl, grace)

    @rule(hand=hands, claim=claims)
    def release(self, hand: int, claim: bytes) -> None:
        self.both(hand, Operation(lambda s, q: s.release_claim(q, claim), lambda m: m.release_claim(claim)))

    @rule(hand=hands, claim=claims, token=tokens)
    def release_as_a_consumer(self, hand: int, claim: bytes, token: bytes) -> None:
        self.both(
            hand,
            Operation(lambda s, q: s.release_claim(q, claim, token), lambda m: m.release_claim(claim, token)),
        )

    @rule(hand=hands, claim=claims, asked=st.lists(sequences, min_size=1, max_size=5))
    def release_messages(self, hand: int, claim: bytes, asked: list[int]) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.release_messages(q, asked, claim),
                lambda m: m.release_messages(asked, claim),
            ),
        )

    # Consumers

    @rule(target=consumers, token=tokens, ttl=ttls, grace=graces, credit=limits)
    def consumer(self, token: bytes, ttl: int, grace: int, credit: int) -> Consumer:
        return Consumer(new_claim(), token, ttl, grace, credit)

    @rule(target=consumers, claim=claims, token=tokens, ttl=ttls, grace=graces, credit=limits)
    def consumer_of_a_claim(self, claim: bytes, token: bytes, ttl: int, grace: int, credit: int) -> Consumer:
        return Consumer(claim, token, ttl, grace, credit)

    @rule(
        target=claims,
        hand=hands,
        consumer=consumers,
        limit=limits,
        sharing=st.integers(1, 3),
        dead_letter=dead_letters,
    )
    def lease(
        self, hand: int, consumer: Consumer, limit: int, sharing: int, dead_letter: DeadLetter | None
    ) -> Any:
        leased = self.both(
            hand,
            Operation(
                lambda s, q: s.lease(q, consumer, limit, sharing, dead_letter),
                lambda m: m.lease(consumer, limit, sharing, dead_letter),
            ),
        )
        return multiple(*[consumer.claim] * bool(leased and leased.messages))

    @precondition(lambda self: any(lease.token for lease in self.jobs.claims.values()))
    @rule(hand=hands, which=st.integers(0, 3), ttl=ttls, grace=graces, credit=st.integers(1, 12))
    def lease_more(self, hand: int, which: int, ttl: int, grace: int, credit: int) -> None:
        live = [(claim, lease.token) for claim, lease in self.jobs.claims.items() if lease.token]
        claim, token = live[min(which, len(live) - 1)]
        self.lease(hand, Consumer(claim, token, ttl, grace, credit), 5, 1, None)

    @rule(hand=hands, consumer=consumers, before=st.just(b"") | tokens)
    def adopt(self, hand: int, consumer: Consumer, before: bytes) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.adopt_claim(q, consumer, before), lambda m: m.adopt_claim(consumer, before)
            ),
        )

    @rule(hand=hands, consumer=consumers, seconds=st.floats(0, 40))
    def lapse(self, hand: int, consumer: Consumer, seconds: float) -> None:
        self.both(
            hand,
            Operation(
                lambda s, q: s.lapse_claim(q, consumer, seconds), lambda m: m.lapse_claim(consumer, seconds)
            ),
        )

    # At once: what comes of two operations is what comes of them in one order or the other

    @precondition(lambda self: len(self.jobs.messages) < MOST)
    @rule(kinds=pairs, sequence=sequences, limit=limits)
    def two_at_once(self, kinds: tuple[str, str], sequence: int, limit: int) -> None:
        # What is due is done before and after, or it would be of weight which of the two did it.
        self.do_what_is_due(self.jobs)
        # So would what comes due by the numbers that they draw.
        while (ends := self.jobs.boundaries()) and ends[0] <= self.jobs.now + len(kinds):
            self.move_to(ends[0])
            self.do_what_is_due(self.jobs)
        operations = [self.operation(kind, sequence, limit) for kind in kinds]

        def start() -> Deferred[Any]:
            asked = zip(operations, self.hands, strict=True)
            return gatherResults(
                [Deferred.fromCoroutine(each.on_store(live.store, live.queue)) for each, live in asked]
            )

        answers = run(start)
        outcomes = []
        for order in ([0, 1], [1, 0]):
            model = deepcopy(self.jobs)
            expected = {i: operations[i].on_model(model) for i in order}
            if answers == [expected[0], expected[1]]:
                outcomes.append(model)
        assert outcomes, f"{kinds} answered {answers}, which neither order can"
        self.do_what_is_due(*outcomes)
        assert outcomes[0] == outcomes[-1]
        self.jobs = outcomes[0]

    def do_what_is_due(self, *models: QueueModel) -> None:
        """That draws numbers, and with them moves the time, perhaps to where more is due."""
        for model in models:
            time = 0
            while time < model.now:
                time = model.now
                expected = model.stats()
        for _ in range(MOST):
            if self.hands[0].now == models[0].now:
                break
            self.hands[0].stats()
        assert self.hands[0].stats() == expected

    def operation(self, kind: str, sequence: int, limit: int) -> Operation:
        if kind == "post":
            return posting([NewMessage(text("at once"), 60)], BOB)
        if kind == "delete":
            return deleting(sequence, None)
        if kind == "pop":
            return popping(limit, None)
        return claiming(new_claim(), 10, 5, limit, None)

    # Dead letters

    @precondition(lambda self: self.jobs.outbox)
    @rule(times=st.integers(1, 2), forget=st.booleans())
    def deliver(self, times: int, forget: bool) -> None:
        self.deliver_all(times, forget)

    def deliver_all(self, times: int, forget: bool) -> None:
        """Deliver them all, perhaps twice; without forgetting them it is as if the gateway had crashed."""
        live = self.hands[0]
        waiting = run(live.store.waiting_dead_letters, live.queue, 1000)
        self.jobs.stats()
        for letter, expected in zip(waiting, self.jobs.outbox, strict=True):
            moved = expected.message
            assert letter[1:5] == (moved.sequence, moved.expires, expected.queue_name, expected.ttl)
            for _ in range(times):
                run(live.store.deliver_dead_letter, live.queue, letter, self.dead_queue.queue)
                self.dead.deliver(expected, Origin("jobs", live.message_id(moved.sequence)))
            if forget:
                run(live.store.forget_dead_letter, live.queue, letter)
                run(live.store.dead_letter_arrived, live.queue, letter, self.dead_queue.queue)
                self.jobs.stats()
                self.dead.stats()
        if forget:
            self.jobs.outbox.clear()

    # Time

    @rule(microseconds=st.integers(0, 20 * SECOND) | st.integers(0, 20).map(lambda n: n * SECOND))
    def wait(self, microseconds: int) -> None:
        self.move_to(self.jobs.now + microseconds)

    @precondition(lambda self: self.jobs.boundaries())
    @rule(which=st.integers(0, 3), beside=st.integers(-1, 1))
    def wait_until_something_ends(self, which: int, beside: int) -> None:
        ends = self.jobs.boundaries()
        self.move_to(max(self.jobs.now, ends[min(which, len(ends) - 1)] + beside))

    def move_to(self, time: int) -> None:
        for live, model in ((self.hands[0], self.jobs), (self.dead_queue, self.dead)):
            model.move_to(time)
            live.move_to(model.now)

    # All of it

    @rule()
    def look_at_everything(self) -> None:
        for live, model in ((self.hands[0], self.jobs), (self.dead_queue, self.dead)):
            assert live.page(claimed=True, delayed=True) == model.list_messages(
                Start(), 1000, not_from=None, claimed=True, delayed=True
            )
            assert live.stats() == model.stats()
            swept = run(live.store.sweep, live.queue)
            assert (swept.waiting, swept.bytes) == model.sweep()
            for claim in list(model.claims):
                assert live.held_by(claim) == model.get_claim(claim)
            assert live.now == model.now

"""Numbers: a sequence is given once, positions only grow, whatever the clock does (storage/records.py)."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, gatherResults

from storage.records import Claim, NewMessage, Subscription
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import ALICE, SECOND, LiveQueue, connected, new_claim, numbers, text


def test_posts_of_many_connections_share_no_number(store: RedisStore, store_server: Server) -> None:
    jobs = LiveQueue(store, clock_runs=True)
    with connected(store_server) as other:

        async def post(by: RedisStore, n: int) -> list[int]:
            messages = [NewMessage(text(n), 3600, delay=n % 3) for _ in range(n % 7 + 1)]
            return await by.post(jobs.queue, messages, ALICE)

        def all_at_once() -> Deferred[list[list[int]]]:
            return gatherResults(
                [Deferred.fromCoroutine(post(by, n)) for n in range(200) for by in (store, other)]
            )

        drawn = [number for numbers in run(all_at_once) for number in numbers]
    assert len(drawn) == len(set(drawn))
    store.scripts.clock_offset = 3 * SECOND
    found = jobs.page(limit=5000).messages
    positions = [message.position for message in found]
    assert sorted(numbers(found)) == sorted(drawn)
    assert positions == sorted(set(positions))
    undelayed = {message.sequence for message in found if message.sequence == message.position}
    assert set(positions).isdisjoint(set(drawn) - undelayed), "a position is nobody's sequence"


@pytest.mark.parametrize("back", [SECOND, 3600 * SECOND])
def test_numbers_grow_although_the_clock_steps_back(store: RedisStore, back: int) -> None:
    jobs = LiveQueue(store, clock_runs=True)
    before = jobs.post(1, 2)
    store.scripts.clock_offset = -back
    behind = jobs.post(3, 4)
    assert behind == [before[-1] + 1, before[-1] + 2]
    assert jobs.bodies() == [1, 2, 3, 4]
    store.scripts.clock_offset = 0
    assert jobs.post(5)[0] > behind[-1]


def test_nothing_ages_below_zero_when_the_clock_steps_back(store: RedisStore) -> None:
    jobs = LiveQueue(store, clock_runs=True)
    jobs.post("work")
    claim = new_claim()
    subscribed = run(lambda: store.subscribe(jobs.queue, "http://here", 600, {}, confirmed=True))
    assert subscribed is not None
    sequence = subscribed.sequence
    store.scripts.clock_offset = 100 * SECOND
    (taken,) = jobs.claim(claim, ttl=300).messages
    assert run(lambda: store.update_subscription(jobs.queue, sequence, ttl=600)) is True
    store.scripts.clock_offset = 0
    # Where the claim began, time stands still until the clock is there again.
    assert jobs.held_by(claim) == Claim(0, 300, [taken])
    assert taken.age == 100
    subscription = run(store.get_subscription, jobs.queue, sequence)
    assert subscription == Subscription(sequence, "http://here", 600, 0, {}, True)


def test_a_lease_ends_in_time_when_the_clock_steps_back(store: RedisStore) -> None:
    jobs = LiveQueue(store, clock_runs=True)
    jobs.post("work")
    claim = new_claim()
    jobs.claim(claim, ttl=60)
    store.scripts.clock_offset = -3600 * SECOND
    assert jobs.now >= jobs.one(jobs.page(claimed=True).messages[0].sequence).sequence
    assert jobs.held_by(claim) is not None
    store.scripts.clock_offset = 61 * SECOND
    assert jobs.held_by(claim) is None


def test_a_delay_ended_by_a_clock_that_steps_back_stays_ended(store: RedisStore) -> None:
    jobs = LiveQueue(store, clock_runs=True)
    (late,) = jobs.post("late", delay=10)
    store.scripts.clock_offset = 10 * SECOND
    assert jobs.bodies() == ["late"]
    shown = jobs.one(late).position
    store.scripts.clock_offset = 0
    assert jobs.post("next")[0] > shown
    assert jobs.bodies() == ["late", "next"]


def test_a_message_keeps_its_numbers_through_claims(jobs: LiveQueue) -> None:
    (late,) = jobs.post("late", delay=10)
    jobs.advance(10)
    shown = jobs.one(late).position
    claim = new_claim()
    (taken,) = jobs.claim(claim).messages
    assert (taken.sequence, taken.position) == (late, shown)
    jobs.release(claim)
    assert jobs.one(late).position == shown


def test_numbers_are_exact_up_to_the_last_that_a_store_can_count(jobs: LiveQueue) -> None:
    far = 9_000_000_000_000_000
    jobs.move_to(far)
    assert jobs.post(1, 2, 3) == [far + 1, far + 2, far + 3]
    found = jobs.page(claimed=True).messages
    assert [(message.sequence, message.position) for message in found] == [
        (far + n, far + n) for n in (1, 2, 3)
    ]
    claim = new_claim()
    assert numbers(jobs.claim(claim).messages) == [far + 1, far + 2, far + 3]


@pytest.mark.parametrize("at", [1_810_000_000 * SECOND, 2_000_000_000 * SECOND, 1_900_000_123 * SECOND])
def test_round_numbers_are_told_in_full(jobs: LiveQueue, at: int) -> None:
    jobs.move_to(at - 1)
    assert jobs.post("round") == [at]
    assert numbers(jobs.page().messages) == [at]
    assert jobs.page().position == at
    assert jobs.one(at).position == at
    assert jobs.claim().messages[0].position == at

"""Thousands of records that come due at once: a script does a few hundred, and the caller does not notice.

A script handles at most 256 of them (BUDGET in lua/common.lua), and answers AGAIN while more are due.
"""

from __future__ import annotations

from typing import Any

import pytest

from storage.errors import StoreBusy
from storage.records import DeadLetter, Queue
from storage.redis import scripts
from storage.redis.client import Argument
from storage.redis.runner import head_key
from storage.redis.scripts import Script
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import STOPPED, LiveQueue, new_claim, numbers

BUDGET = 256


class Rounds:
    """Runs scripts one call at a time, and counts the calls until the answer is there."""

    def __init__(self, jobs: LiveQueue) -> None:
        self._jobs = jobs

    def once(self, script: Script, *arguments: Argument) -> Any:
        """The answer of one call, AGAIN included."""
        key = head_key(self._jobs.queue)
        call = ("EVAL", script.source, 1, key, STOPPED, *arguments, b"")
        return run(lambda: self._jobs.store.client.execute(*call, key=key))

    def until_done(self, script: Script, *arguments: Argument) -> int:
        calls = 1
        while self.once(script, *arguments) == b"AGAIN":
            calls += 1
        return calls


@pytest.fixture
def rounds(jobs: LiveQueue) -> Rounds:
    return Rounds(jobs)


@pytest.mark.parametrize("count", [BUDGET - 1, BUDGET, BUDGET + 1, 3000])
def test_messages_that_expire_together(jobs: LiveQueue, rounds: Rounds, count: int) -> None:
    jobs.post_many(count, ttl=60)
    jobs.post("stays")
    jobs.advance(60)
    assert rounds.until_done(scripts.SWEEP) == count // BUDGET + 1
    assert jobs.bodies() == ["stays"]


def test_nothing_expired_is_shown_by_any_call(jobs: LiveQueue) -> None:
    posted = jobs.post_many(3000, ttl=60)
    jobs.post("stays")
    jobs.advance(60)
    assert jobs.bodies() == ["stays"]
    assert jobs.counts() == (1, 0, 0)
    assert jobs.get(posted[-1]) == [None]


@pytest.mark.parametrize("first", ["claim", "pop", "post", "delete", "purge", "stats"])
def test_any_call_goes_on_until_all_is_done(jobs: LiveQueue, first: str) -> None:
    posted = jobs.post_many(1000, ttl=60)
    jobs.post("stays")
    jobs.advance(60)
    match first:
        case "claim":
            assert len(jobs.claim().messages) == 1
        case "pop":
            assert len(jobs.pop().messages) == 1
        case "post":
            jobs.post("more")
            assert jobs.bodies() == ["stays", "more"]
        case "delete":
            jobs.delete(posted[-1])
            assert jobs.bodies() == ["stays"]
        case "purge":
            jobs.purge()
            assert jobs.bodies() == []
        case _:
            assert jobs.counts() == (1, 0, 0)


@pytest.mark.parametrize("count", [BUDGET, 3000])
def test_delays_that_end_together_keep_their_order(jobs: LiveQueue, rounds: Rounds, count: int) -> None:
    posted = jobs.post_many(count, delay=60)
    jobs.post("before")
    jobs.advance(60)
    assert rounds.until_done(scripts.STATS) == count // BUDGET + 1
    assert jobs.bodies(limit=5000) == ["before", *range(count)]
    assert numbers(jobs.claim(limit=20).messages)[1:] == posted[:19]


@pytest.mark.parametrize("each", [1, 20, BUDGET - 1, BUDGET, 1000])
def test_claims_that_end_together(jobs: LiveQueue, each: int) -> None:
    posted = jobs.post_many(2000)
    for _ in range(0, 2000, each):
        jobs.claim(ttl=60, limit=each)
    assert jobs.bodies() == []
    jobs.advance(60)
    assert numbers(jobs.page(limit=5000).messages) == posted
    assert jobs.counts() == (2000, 0, 0)


@pytest.mark.parametrize("count", [BUDGET - 2, BUDGET - 1, BUDGET, 3000])
def test_one_claim_that_holds_more_than_the_budget(jobs: LiveQueue, rounds: Rounds, count: int) -> None:
    posted = jobs.post_many(count)
    claim = new_claim()
    taken = jobs.claim(claim, ttl=60, limit=count).messages
    held = jobs.held_by(claim)
    assert held is not None
    assert held.messages == taken
    jobs.advance(60)
    assert rounds.until_done(scripts.SWEEP) <= count // (BUDGET - 2) + 2
    assert jobs.held_by(claim) is None
    assert numbers(jobs.page(limit=5000).messages) == posted


@pytest.mark.parametrize("count", [0, BUDGET - 1, BUDGET, BUDGET + 1, 3000])
def test_releasing_a_claim_that_holds_many(jobs: LiveQueue, rounds: Rounds, count: int) -> None:
    posted = jobs.post_many(count)
    claim = new_claim()
    jobs.claim(claim, limit=max(count, 1))
    assert rounds.until_done(scripts.CLAIM_RELEASE, claim) == count // BUDGET + 1
    assert jobs.held_by(claim) is None
    assert numbers(jobs.page(limit=5000).messages) == posted


def test_subscriptions_that_expire_together(jobs: LiveQueue, rounds: Rounds) -> None:
    async def subscribe(store: RedisStore, queue: Queue) -> None:
        for n in range(600):
            await store.subscribe(queue, f"http://{n}", 60, {}, confirmed=True)
        await store.subscribe(queue, "http://stays", 3600, {}, confirmed=True)

    run(subscribe, jobs.store, jobs.queue)
    jobs.advance(60)
    assert rounds.until_done(scripts.SWEEP) == 600 // BUDGET + 1
    (left,) = run(jobs.store.list_subscriptions, jobs.queue, 0, 1000)
    assert left.subscriber == "http://stays"


def test_all_kinds_at_once(jobs: LiveQueue, rounds: Rounds, store_server: Server) -> None:
    jobs.post_many(300)
    claim = new_claim()
    jobs.claim(claim, ttl=60, grace=0, limit=200)
    jobs.post_many(300, ttl=60)
    jobs.post_many(300, delay=60)
    run(lambda: jobs.store.subscribe(jobs.queue, "http://here", 60, {}, confirmed=True))
    jobs.advance(60)
    assert rounds.until_done(scripts.SWEEP) == 4
    assert jobs.counts() == (600, 0, 0)
    assert jobs.bodies(limit=1000) == [*range(300)] * 2
    keys = jobs.keys(store_server.client())
    assert keys == {"head", "messages", "free", "expiry", "states", "lost"}


def test_a_dead_letter_rule_meets_thousands_in_one_claim(jobs: LiveQueue) -> None:
    jobs.post_many(2000)
    jobs.post("never reached by the first claim")
    rule = DeadLetter(0, "dead", None)
    first = jobs.claim(limit=20, dead_letter=rule)
    assert first.messages == []
    assert 1000 <= first.dead_lettered < 2001
    assert jobs.counts() == (2001 - first.dead_lettered, 0, 0)
    while jobs.claim(limit=20, dead_letter=rule).dead_lettered:
        pass
    assert jobs.counts() == (0, 0, 0)
    assert len(run(jobs.store.waiting_dead_letters, jobs.queue, 5000)) == 2001


def test_a_call_that_runs_out_of_time_says_so(jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.post_many(1000, ttl=60)
    jobs.advance(60)
    monkeypatch.setattr(jobs.store.scripts, "_timeout", -1)
    with pytest.raises(StoreBusy, match="more due work"):
        jobs.counts()
    monkeypatch.undo()
    assert jobs.counts() == (0, 0, 0)

"""Dead letters: claimed too often, kept in the outbox, delivered once (docs/compatibility.md, 22)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, gatherResults

from storage.errors import StaleQueue
from storage.records import DeadLetter, Origin, Waiting
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.servers import Server, start_valkey
from tests.support.store import BOB, SECOND, LiveQueue, bodies, connected, new_claim

RULE = DeadLetter(2, "dead", None)


@pytest.fixture
def dead(jobs: LiveQueue) -> LiveQueue:
    """The queue that takes the dead letters of `jobs`."""
    return LiveQueue(jobs.store, "dead")


def waiting(jobs: LiveQueue) -> list[Waiting]:
    return run(jobs.store.waiting_dead_letters, jobs.queue, 1000)


def deliver(jobs: LiveQueue, letter: Waiting, dead: LiveQueue) -> None:
    run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)


def forget(jobs: LiveQueue, letter: Waiting, dead: LiveQueue) -> None:
    run(jobs.store.forget_dead_letter, jobs.queue, letter)
    run(jobs.store.dead_letter_arrived, jobs.queue, letter, dead.queue)


def killed(jobs: LiveQueue, rule: DeadLetter) -> Waiting:
    """Kill all that is free at once; the first letter."""
    assert jobs.claim(limit=20, dead_letter=replace_count(rule, 0)).messages == []
    return waiting(jobs)[0]


def replace_count(rule: DeadLetter, count: int) -> DeadLetter:
    return rule._replace(max_claim_count=count)


def test_a_message_is_handed_out_as_often_as_the_rule_says(jobs: LiveQueue) -> None:
    jobs.post("work")
    for count in (1, 2):
        claim = new_claim()
        (taken,) = jobs.claim(claim, dead_letter=RULE).messages
        assert taken.claim_count == count
        jobs.release(claim)
    last = jobs.claim(dead_letter=RULE)
    assert (last.messages, last.dead_lettered) == ([], 1)
    assert jobs.counts() == (0, 0, 0)


def test_claims_count_without_a_rule_too(jobs: LiveQueue) -> None:
    jobs.post("work")
    for _ in range(2):
        claim = new_claim()
        jobs.claim(claim)
        jobs.release(claim)
    assert jobs.claim(dead_letter=RULE).dead_lettered == 1


def test_a_claim_is_filled_from_behind_the_dead(jobs: LiveQueue) -> None:
    jobs.post(*range(5))
    claim = new_claim()
    jobs.claim(claim, limit=3)
    jobs.release(claim)
    told = jobs.claim(limit=2, dead_letter=DeadLetter(1, "dead", None))
    assert (bodies(told.messages), told.dead_lettered) == ([3, 4], 3)
    assert [letter.sequence for letter in waiting(jobs)] == sorted(
        letter.sequence for letter in waiting(jobs)
    )


def test_a_pop_gives_up_what_was_claimed_too_often(jobs: LiveQueue) -> None:
    jobs.post(*range(3))
    claim = new_claim()
    jobs.claim(claim, limit=1)
    jobs.release(claim)
    told = jobs.pop(limit=1, dead_letter=DeadLetter(1, "dead", None))
    assert (bodies(told.messages), told.dead_lettered) == ([1], 1)
    assert jobs.bodies() == [2]


def test_a_letter_in_the_outbox(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work", ttl=3600)
    letter = killed(jobs, DeadLetter(0, "dead", 70))
    assert letter[1:5] == (posted, posted + 3600 * SECOND, "dead", 70)
    assert run(jobs.store.sweep, jobs.queue).waiting == 1
    jobs.advance(3601)
    assert waiting(jobs) == [letter], "it waits as long as it has to"


def test_it_is_free_in_its_new_queue_with_its_origin(jobs: LiveQueue, dead: LiveQueue) -> None:
    (posted,) = jobs.post("work", ttl=3600, client=BOB, checksum=b"c" * 16)
    jobs.advance(10)
    letter = killed(jobs, DeadLetter(0, "dead", 70))
    dead.move_to(jobs.now + 5 * SECOND)
    arrives = dead.now + 1
    deliver(jobs, letter, dead)
    (arrived,) = dead.claim(limit=2).messages
    origin = Origin("jobs", jobs.message_id(posted))
    assert (arrived.sequence, arrived.position, arrived.origin) == (arrives, arrives, origin)
    assert (arrived.ttl, arrived.age, arrived.claim_count) == (70, 0, 1)
    assert (bodies([arrived]), arrived.checksum) == (["work"], b"c" * 16)
    assert dead.bodies(claimed=True, not_from=BOB) == [], "it is still its poster's"
    dead.move_to(arrives + 130 * SECOND - 1)
    assert dead.bodies(claimed=True) == []


@pytest.mark.parametrize("ttl", [None, 70])
def test_it_expires_there_to_the_microsecond(jobs: LiveQueue, dead: LiveQueue, ttl: int | None) -> None:
    (posted,) = jobs.post("work", ttl=3600)
    jobs.advance(10.5)
    letter = killed(jobs, DeadLetter(0, "dead", ttl))
    dead.move_to(jobs.now)
    deliver(jobs, letter, dead)
    (arrived,) = dead.page().messages
    assert arrived.ttl == (3590 if ttl is None else 70)
    expires = posted + 3600 * SECOND if ttl is None else arrived.sequence + 70 * SECOND
    dead.move_to(expires - 1)
    assert dead.bodies() == ["work"]
    dead.move_to(expires)
    assert dead.bodies() == []


def test_what_expired_in_the_outbox_does_not_arrive(jobs: LiveQueue, dead: LiveQueue) -> None:
    jobs.post("work", ttl=60)
    letter = killed(jobs, RULE)
    dead.move_to(letter.expires)
    deliver(jobs, letter, dead)
    assert dead.counts() == (0, 0, 0)
    forget(jobs, letter, dead)
    assert waiting(jobs) == []


def test_it_is_delivered_once_however_often_and_by_whom(
    jobs: LiveQueue, dead: LiveQueue, store_server: Server
) -> None:
    jobs.post_many(50)
    killed(jobs, RULE)
    letters = waiting(jobs)
    assert letters[:5] == run(jobs.store.waiting_dead_letters, jobs.queue, 5)
    with connected(store_server) as other:
        other.scripts.clock_offset = jobs.store.scripts.clock_offset

        async def node(by: RedisStore) -> None:
            for letter in letters:
                await by.deliver_dead_letter(jobs.queue, letter, dead.queue)
                await by.forget_dead_letter(jobs.queue, letter)
                await by.dead_letter_arrived(jobs.queue, letter, dead.queue)

        def at_once() -> Deferred[list[None]]:
            return gatherResults([Deferred.fromCoroutine(node(by)) for by in (jobs.store, other) * 2])

        run(at_once)
    assert dead.bodies() == list(range(50))
    assert waiting(jobs) == []


def test_a_crash_between_delivery_and_forgetting(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always") as server:
        with connected(server) as store:
            jobs, dead = LiveQueue(store), LiveQueue(store, "dead")
            jobs.post("work")
            deliver(jobs, killed(jobs, RULE), dead)
            server.kill()
            server.restart()
        with connected(server) as store:
            again, there = jobs.through(store), dead.through(store)
            (letter,) = waiting(again)
            deliver(again, letter, there)
            forget(again, letter, there)
            assert there.bodies() == ["work"]
            assert waiting(again) == []


def test_an_origin_is_remembered_after_its_message_is_gone(jobs: LiveQueue, dead: LiveQueue) -> None:
    jobs.post("work")
    letter = killed(jobs, RULE)
    deliver(jobs, letter, dead)
    dead.pop()
    deliver(jobs, letter, dead)
    forget(jobs, letter, dead)
    dead.advance(86_399)
    deliver(jobs, letter, dead)
    assert dead.bodies() == []


def test_origins_are_forgotten_in_time(jobs: LiveQueue, dead: LiveQueue, store_server: Server) -> None:
    jobs.post_many(250)
    killed(jobs, RULE)
    letters = waiting(jobs)
    for letter in letters:
        deliver(jobs, letter, dead)
        forget(jobs, letter, dead)
    key = b"zg:{%016x}:origins" % dead.queue.incarnation
    assert store_server.client().zcard(key) == 250
    dead.advance(86_401)
    jobs.post("one more")
    jobs.claim(dead_letter=replace_count(RULE, 0))
    (last,) = waiting(jobs)
    for _ in range(3):
        deliver(jobs, last, dead)
    assert store_server.client().zcard(key) == 1


def test_a_dead_letter_may_die_again(jobs: LiveQueue, dead: LiveQueue) -> None:
    jobs.post("work", checksum=b"c" * 16)
    deliver(jobs, killed(jobs, RULE), dead)
    (there,) = dead.page().messages
    grave = LiveQueue(jobs.store, "grave")
    deliver(dead, killed(dead, DeadLetter(0, "grave", 90)), grave)
    (arrived,) = grave.page().messages
    assert arrived.origin == Origin("dead", dead.message_id(there.sequence)), "the last move is told"
    assert (bodies([arrived]), arrived.ttl, arrived.checksum) == (["work"], 90, b"c" * 16)


def test_a_queue_may_be_its_own_dead_letter_queue(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work")
    letter = killed(jobs, DeadLetter(0, "jobs", None))
    deliver(jobs, letter, jobs)
    forget(jobs, letter, jobs)
    (arrived,) = jobs.page().messages
    assert arrived.sequence > posted
    assert arrived.origin == Origin("jobs", jobs.message_id(posted))


def test_a_target_that_is_gone_takes_nothing(jobs: LiveQueue, dead: LiveQueue) -> None:
    jobs.post("work")
    letter = killed(jobs, RULE)
    run(dead.store.remove, dead.queue)
    with pytest.raises(StaleQueue):
        deliver(jobs, letter, dead)
    assert waiting(jobs) == [letter]
    with pytest.raises(StaleQueue):
        run(jobs.store.deliver_dead_letter, jobs.queue, letter, replace(dead.queue, incarnation=7))

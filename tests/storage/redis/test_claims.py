"""Claims: who gets what, how long, in which order (protocol.md section 5; docs/compatibility.md, 13-16)."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, gatherResults

from storage.records import Claim, Message
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import SECOND, LiveQueue, bodies, connected, new_claim, numbers


def test_a_claim_takes_from_the_head_and_hides_what_it_took(jobs: LiveQueue) -> None:
    jobs.post(*range(5))
    mine, others = new_claim(), new_claim()
    taken = jobs.claim(mine, limit=2).messages
    assert bodies(taken) == [0, 1]
    assert [(message.claim_id, message.claim_count) for message in taken] == [(mine, 1)] * 2
    assert bodies(jobs.claim(others, limit=2).messages) == [2, 3]
    assert jobs.bodies() == [4]
    assert jobs.counts() == (1, 4, 0)
    assert jobs.claim(limit=20).messages[0].position == taken[0].position + 4
    assert jobs.claim().messages == []


def test_a_claim_is_shown_on_the_message(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work")
    claim = new_claim()
    (taken,) = jobs.claim(claim).messages
    assert jobs.get(posted) == [taken]
    assert jobs.page(claimed=True).messages == [taken]
    assert jobs.stats().oldest == taken
    jobs.release(claim)
    assert jobs.one(posted) == taken._replace(claim_id=None)


def test_an_empty_claim_leaves_nothing_behind(jobs: LiveQueue) -> None:
    claim = new_claim()
    assert jobs.claim(claim).messages == []
    assert jobs.held_by(claim) is None
    assert jobs.update(claim) is False
    jobs.release(claim)


def test_what_a_claim_holds(jobs: LiveQueue) -> None:
    jobs.post("a", "b", "c")
    claim = new_claim()
    taken = jobs.claim(claim, ttl=90, limit=2).messages
    jobs.advance(5)
    held = jobs.held_by(claim)
    assert held == Claim(5, 90, [message._replace(age=5) for message in taken])
    jobs.delete(taken[0].sequence, claim)
    held = jobs.held_by(claim)
    assert held is not None
    assert bodies(held.messages) == ["b"]


def test_a_claim_ends_to_the_microsecond(jobs: LiveQueue) -> None:
    jobs.post("work")
    claim = new_claim()
    began = jobs.now
    jobs.claim(claim, ttl=60)
    jobs.move_to(began + 60 * SECOND - 1)
    held = jobs.held_by(claim)
    assert held is not None
    assert held.age == 59
    assert jobs.claim().messages == []
    jobs.move_to(began + 60 * SECOND)
    assert jobs.held_by(claim) is None
    assert jobs.update(claim) is False
    (again,) = jobs.claim().messages
    assert again.claim_count == 2


@pytest.mark.parametrize("how", ["release", "expiry"])
def test_what_is_free_again_stands_at_its_old_place(jobs: LiveQueue, how: str) -> None:
    posted = jobs.post(*range(6))
    first, second = new_claim(), new_claim()
    jobs.claim(first, ttl=60, limit=2)
    jobs.claim(second, ttl=600, limit=2)
    if how == "release":
        jobs.release(first)
        jobs.release(first)
    else:
        jobs.advance(60)
    assert jobs.bodies() == [0, 1, 4, 5]
    assert numbers(jobs.claim(limit=3).messages) == [posted[0], posted[1], posted[4]]
    jobs.release(second)
    assert jobs.bodies() == [2, 3, 5]


def test_order_is_that_of_positions_not_of_posting(jobs: LiveQueue) -> None:
    jobs.post("late", delay=10)
    jobs.post("soon")
    jobs.advance(10)
    claim = new_claim()
    taken = jobs.claim(claim).messages
    assert bodies(taken) == ["soon", "late"]
    held = jobs.held_by(claim)
    assert held is not None
    assert held.messages == taken
    assert jobs.claim(claim).messages == taken
    jobs.release(claim)
    assert jobs.bodies() == ["soon", "late"]


def test_a_repeated_claim_answers_what_it_holds(jobs: LiveQueue) -> None:
    jobs.post(*range(5))
    claim = new_claim()
    taken = jobs.claim(claim, ttl=60, limit=3)
    jobs.advance(30)
    repeated = jobs.claim(claim, ttl=60, limit=3)
    assert repeated.messages == [message._replace(age=30) for message in taken.messages]
    assert repeated.dead_lettered == 0
    assert jobs.bodies() == [3, 4]
    jobs.advance(30)
    assert jobs.held_by(claim) is None, "a repetition does not renew the claim"


def extension(jobs: LiveQueue, ttl: int, claim_ttl: int, grace: int) -> tuple[Message, int]:
    """A message in a claim, and when it is expected to expire."""
    (posted,) = jobs.post("work", ttl=ttl)
    began = jobs.now
    (taken,) = jobs.claim(ttl=claim_ttl, grace=grace).messages
    assert jobs.one(posted).ttl == taken.ttl
    extended = posted + ttl * SECOND < began + claim_ttl * SECOND
    return taken, began + (claim_ttl + grace) * SECOND if extended else posted + ttl * SECOND


@pytest.mark.parametrize(
    ("ttl", "claim_ttl", "shown"),
    [(61, 60, 61), (60, 60, 60), (60, 61, 181), (60, 300, 420), (3600, 60, 3600)],
)
def test_a_claim_keeps_its_messages_alive(jobs: LiveQueue, ttl: int, claim_ttl: int, shown: int) -> None:
    taken, expires = extension(jobs, ttl, claim_ttl, grace=120)
    assert taken.ttl == shown
    jobs.move_to(expires - 1)
    assert jobs.one(taken.sequence).ttl == shown
    jobs.move_to(expires)
    assert jobs.get(taken.sequence) == [None]


def test_a_message_that_ends_with_its_claim_is_not_extended(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work", ttl=60)
    # At this moment both end at once.
    assert jobs.now == posted
    assert jobs.claim(ttl=60, grace=60).messages[0].ttl == 60
    jobs.advance(60)
    assert jobs.get(posted) == [None]


def test_less_than_a_second_of_extension_is_not_shown(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work", ttl=60)
    jobs.advance(microseconds=SECOND - 1)
    claim = new_claim()
    assert jobs.claim(claim, ttl=60, grace=60).messages[0].ttl == 60
    jobs.advance(119)
    assert jobs.one(posted).claim_count == 1, "it lives all the same"


def test_an_update_starts_the_claim_anew(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work", ttl=300)
    claim = new_claim()
    jobs.claim(claim, ttl=60)
    jobs.advance(59)
    assert jobs.update(claim, ttl=100, grace=60) is True
    jobs.advance(100, microseconds=-1)
    held = jobs.held_by(claim)
    assert held is not None
    assert (held.age, held.ttl) == (99, 100)
    assert held.messages[0].ttl == 300
    jobs.advance(microseconds=1)
    assert jobs.held_by(claim) is None
    assert jobs.one(posted).claim_count == 1


def test_an_update_extends_what_would_expire(jobs: LiveQueue) -> None:
    short, long = jobs.post("short", ttl=60) + jobs.post("long", ttl=3600)
    claim = new_claim()
    jobs.claim(claim, ttl=60, grace=0)
    jobs.advance(10)
    updated = jobs.now
    assert jobs.update(claim, ttl=200, grace=100) is True
    assert [message.ttl for message in jobs.get(short, long) if message] == [300, 3600]
    jobs.move_to(updated + 300 * SECOND - 1)
    assert bodies(jobs.get(short, long)) == ["short", "long"]
    jobs.move_to(updated + 300 * SECOND)
    assert bodies(jobs.get(short, long)) == [None, "long"]


def test_an_update_by_less_than_a_second_keeps_the_ttl_shown(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("work", ttl=60)
    claim = new_claim()
    jobs.claim(claim, ttl=60)
    jobs.advance(0.5)
    assert jobs.update(claim, ttl=60, grace=60) is True
    assert jobs.one(posted).ttl == 60
    jobs.advance(119)
    assert jobs.one(posted).claim_id is None


def test_an_update_may_shorten_a_claim(jobs: LiveQueue) -> None:
    jobs.post("work")
    claim = new_claim()
    jobs.claim(claim, ttl=43200)
    assert jobs.update(claim, ttl=60) is True
    jobs.advance(60)
    assert jobs.counts() == (1, 0, 0)


def test_a_pop_takes_and_forgets(jobs: LiveQueue) -> None:
    posted = jobs.post("a", "b", "c", ttl=60)
    jobs.claim(limit=1)
    popped = jobs.pop(limit=2).messages
    assert numbers(popped) == posted[1:]
    assert [(message.claim_count, message.ttl, bool(message.claim_id)) for message in popped] == [
        (1, 60, True)
    ] * 2
    assert jobs.counts() == (0, 1, 0)
    assert jobs.pop().messages == []
    popped_by = popped[0].claim_id
    assert popped_by is not None
    assert jobs.held_by(popped_by) is None


def test_claims_at_once_never_share_a_message(store: RedisStore, store_server: Server) -> None:
    jobs = LiveQueue(store, clock_runs=True)
    jobs.post(*range(500))
    with connected(store_server) as other:
        taken: list[int] = []

        async def take(by: RedisStore) -> None:
            while found := (await by.create_claim(jobs.queue, new_claim(), 60, 60, 7, None)).messages:
                taken.extend(numbers(found))

        async def all_at_once() -> None:
            await gatherResults([Deferred.fromCoroutine(take(by)) for by in [store, other] * 4])

        run(all_at_once)
    assert len(taken) == len(set(taken)) == 500
    assert jobs.counts() == (0, 500, 0)

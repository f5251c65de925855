"""Leasing to consumers: credit, terms, tokens, and what is announced (docs/streaming-claims.md)."""

from __future__ import annotations

from typing import Any

import pytest

from storage.events import Due, Event, Free, Taken
from storage.records import Adopted, Consumer, DeadLetter, Held, Leased
from storage.redis.store import RedisStore
from tests.storage.redis.test_events import Ear
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import SECOND, LiveQueue, bodies, new_claim, numbers


def consumer(claim: bytes | None = None, *, token: bytes = b"consumer", **terms: int) -> Consumer:
    return Consumer(claim or new_claim(), token, **{"ttl": 60, "grace": 60, "credit": 3, **terms})


def lease(jobs: LiveQueue, to: Consumer, **given: Any) -> Leased:
    leased = ask(jobs, to, **given)
    assert leased is not None
    return leased


def ask(
    jobs: LiveQueue, to: Consumer, limit: int = 20, sharing: int = 1, dead_letter: DeadLetter | None = None
) -> Leased | None:
    return run(jobs.store.lease, jobs.queue, to, limit, sharing, dead_letter)


def adopt(jobs: LiveQueue, by: Consumer, before: bytes = b"") -> Adopted | None:
    return run(jobs.store.adopt_claim, jobs.queue, by, before)


def lapse(jobs: LiveQueue, of: Consumer, seconds: float) -> None:
    run(jobs.store.lapse_claim, jobs.queue, of, seconds)


@pytest.fixture
def ear(store_server: Server, jobs: LiveQueue) -> Any:
    ear = Ear(store_server.url)
    ear.listen(jobs)
    yield ear
    ear.stop()


def test_a_claim_never_holds_more_than_the_credit(jobs: LiveQueue) -> None:
    jobs.post(*range(10))
    mine = consumer(credit=3)
    leased = lease(jobs, mine)
    assert (bodies(leased.messages), leased.held, leased.free) == ([0, 1, 2], 3, 7)
    assert [(message.claim_id, message.claim_count) for message in leased.messages] == [(mine.claim, 1)] * 3
    assert lease(jobs, mine).messages == []
    jobs.delete(leased.messages[1].sequence, mine.claim)
    leased = lease(jobs, mine)
    assert (bodies(leased.messages), leased.held) == ([3], 3)
    assert lease(jobs, mine._replace(credit=1)).messages == []


def test_a_call_leases_no_more_than_its_limit_and_its_share(jobs: LiveQueue) -> None:
    jobs.post(*range(10))
    assert bodies(lease(jobs, consumer(credit=100), limit=2).messages) == [0, 1]
    assert bodies(lease(jobs, consumer(credit=100), sharing=3).messages) == [2, 3, 4]
    assert bodies(lease(jobs, consumer(credit=100), sharing=100).messages) == [5]


def test_each_lease_starts_the_claims_time_anew_and_keeps_all_alive(jobs: LiveQueue) -> None:
    (first,) = jobs.post("first", ttl=60)
    mine = consumer(ttl=60, grace=60)
    lease(jobs, mine)
    jobs.advance(50)
    jobs.post("second", ttl=600)
    began = jobs.now
    assert bodies(lease(jobs, mine).messages) == ["second"]
    assert jobs.one(first).ttl == 120
    jobs.move_to(began + 60 * SECOND - 1)
    held = jobs.held_by(mine.claim)
    assert held is not None
    assert (held.age, bodies(held.messages)) == (59, ["first", "second"])
    jobs.advance(microseconds=1)
    assert jobs.held_by(mine.claim) is None
    assert jobs.bodies() == ["first", "second"]


def test_a_call_that_gets_nothing_renews_nothing(jobs: LiveQueue) -> None:
    jobs.post("work")
    mine = consumer()
    lease(jobs, mine)
    jobs.advance(59)
    lease(jobs, mine)
    jobs.advance(1)
    assert jobs.held_by(mine.claim) is None


def test_who_finds_nothing_hears_when_to_ask_again(jobs: LiveQueue) -> None:
    assert lease(jobs, consumer()).due_in is None
    jobs.post("work")
    assert lease(jobs, consumer(ttl=90)).due_in == pytest.approx(90)
    jobs.post("late", delay=30)
    assert lease(jobs, consumer()).due_in == pytest.approx(30, abs=0.001)
    jobs.post("free")
    assert lease(jobs, consumer(), limit=0).due_in is None, "there is no need to wait"


def test_what_was_leased_too_often_is_a_dead_letter(jobs: LiveQueue) -> None:
    jobs.post("bad", "good")
    rule = DeadLetter(1, "dead", None)
    lease(jobs, first := consumer(), limit=1, dead_letter=rule)
    jobs.release(first.claim)
    leased = lease(jobs, consumer(), dead_letter=rule)
    assert (bodies(leased.messages), leased.dead_lettered) == (["good"], 1)
    assert len(run(jobs.store.waiting_dead_letters, jobs.queue, 10)) == 1


def test_messages_are_given_back_to_their_old_places(jobs: LiveQueue) -> None:
    posted = jobs.post(*range(4))
    mine, other = consumer(credit=3), consumer()
    lease(jobs, mine)
    run(jobs.store.release_messages, jobs.queue, [posted[1], posted[3], posted[0]], mine.claim)
    assert jobs.bodies() == [0, 1, 3]
    run(jobs.store.release_messages, jobs.queue, [posted[2]], other.claim)
    assert jobs.bodies() == [0, 1, 3], "only its own claim gives a message back"
    assert [message.claim_count for message in lease(jobs, other).messages] == [2, 2, 1]


# Who has a claim


def test_a_claim_goes_on_with_who_took_it_last(jobs: LiveQueue) -> None:
    jobs.post(*range(5))
    first = consumer(token=b"first---")
    lease(jobs, first, limit=2)
    second = first._replace(token=b"second--", ttl=90)
    adopted = adopt(jobs, second)
    assert adopted is not None
    held = jobs.held_by(first.claim)
    assert held is not None
    assert held.ttl == 90
    assert adopted.held == [Held(message.sequence, 1) for message in held.messages]
    assert ask(jobs, first) is None
    assert adopt(jobs, first, before=b"third---") is None
    assert bodies(lease(jobs, second).messages) == [2]
    run(jobs.store.release_claim, jobs.queue, first.claim, first.token)
    lapse(jobs, first, 0)
    assert jobs.counts() == (2, 3, 0), "who has gone ends nothing of who came"
    run(jobs.store.release_claim, jobs.queue, first.claim, second.token)
    assert jobs.counts() == (5, 0, 0)


def test_a_call_with_the_token_of_before_leases_nothing_any_more(jobs: LiveQueue) -> None:
    jobs.post("work")
    late = consumer()
    renamed = late._replace(token=b"renamed-")
    for _ in range(2):  # told twice, it is the same
        assert adopt(jobs, renamed, before=late.token) is not None
    assert ask(jobs, late) is None
    assert bodies(lease(jobs, renamed).messages) == ["work"]


def test_an_update_leaves_the_claim_to_its_consumer(jobs: LiveQueue) -> None:
    jobs.post("work", "more")
    mine = consumer()
    lease(jobs, mine, limit=1)
    assert jobs.update(mine.claim, ttl=200)
    assert ask(jobs, mine._replace(token=b"stranger")) is None
    assert bodies(lease(jobs, mine).messages) == ["more"]


def test_a_claim_without_its_consumer_ends_soon(jobs: LiveQueue) -> None:
    jobs.post("work")
    mine = consumer(ttl=300)
    lease(jobs, mine)
    jobs.advance(10)
    lapse(jobs, mine, 5)
    lapse(jobs, mine, 60)
    held = jobs.held_by(mine.claim)
    assert held is not None
    assert (held.age, held.ttl) == (10, 15)
    jobs.advance(5)
    assert jobs.bodies() == ["work"]
    lapse(jobs, mine, 5)


def test_who_comes_back_in_time_keeps_all(jobs: LiveQueue) -> None:
    jobs.post("work")
    mine = consumer(ttl=300)
    lease(jobs, mine)
    lapse(jobs, mine, 5)
    jobs.advance(4)
    assert adopt(jobs, mine._replace(token=b"again---")) is not None
    jobs.advance(299)
    assert jobs.bodies() == []


def test_a_claim_that_has_moved_keeps_its_consumer(jobs: LiveQueue) -> None:
    """A lease's record is copied as it is (lua/moving)."""
    jobs.post("work")
    mine = consumer()
    lease(jobs, mine)
    record = run(
        lambda: jobs.store.client.execute(
            "HGET",
            b"zg:{%016x}:leases" % jobs.queue.incarnation,
            mine.claim,
            key=b"zg:{%016x}:head" % jobs.queue.incarnation,
        )
    )
    assert record.endswith(mine.token)


# What is announced


def test_what_becomes_free_is_announced_once(jobs: LiveQueue, ear: Ear) -> None:
    jobs.post(*range(6))
    claims = [consumer() for _ in range(2)]
    for each in claims:
        lease(jobs, each, limit=2)
    ear.next()
    jobs.release(claims[0].claim)
    assert ear.next() == [Free(True, [])]
    jobs.release(claims[0].claim)
    jobs.advance(60)
    jobs.counts()
    jobs.counts()
    assert ear.next() == [Free(True, [])]


def test_what_is_taken_by_the_same_call_is_not_announced(jobs: LiveQueue, ear: Ear) -> None:
    jobs.post("work")
    lease(jobs, consumer())
    ear.next()
    jobs.advance(60)
    lease(jobs, consumer())
    jobs.post("the end")
    ear.next()


@pytest.mark.parametrize("how", ["delete", "delete many", "release", "release one", "expiry", "purge"])
def test_a_full_claim_that_holds_less_is_announced(jobs: LiveQueue, ear: Ear, how: str) -> None:
    posted = jobs.post(*range(4))
    mine = consumer(credit=3)
    lease(jobs, mine)
    ear.next()
    match how:
        case "delete":
            jobs.delete(posted[0], mine.claim)
            jobs.delete(posted[1], mine.claim)
        case "delete many":
            jobs.delete_many(*posted[:3])
        case "release":
            jobs.release(mine.claim)
        case "release one":
            run(jobs.store.release_messages, jobs.queue, posted[:1], mine.claim)
        case "expiry":
            jobs.advance(60)
            jobs.counts()
        case _:
            jobs.purge(subscriptions=False)
    (event,) = ear.next()
    assert event == Free(how in ("release", "release one", "expiry"), [mine.claim])


def test_a_full_claim_whose_messages_another_takes_at_once_is_announced(jobs: LiveQueue, ear: Ear) -> None:
    jobs.post("work")
    mine = consumer(credit=1)
    lease(jobs, mine)
    ear.next()
    jobs.advance(60)
    lease(jobs, consumer())
    assert ear.next() == [Free(False, [mine.claim])]


def test_a_claim_that_is_not_full_is_not_announced(jobs: LiveQueue, ear: Ear) -> None:
    posted = jobs.post(*range(2))
    mine = consumer(credit=3)
    lease(jobs, mine)
    jobs.delete(posted[0], mine.claim)
    ear.next()


def test_taking_a_claim_and_letting_it_lapse_are_announced(jobs: LiveQueue, ear: Ear) -> None:
    jobs.post("late", delay=20)
    jobs.post("work")
    mine = consumer()
    lease(jobs, mine)
    ear.next(2)
    adopted = adopt(jobs, mine._replace(token=b"another-"))
    assert adopted is not None
    assert ear.next() == [Taken(mine.claim, adopted.number)]
    adopt(jobs, mine._replace(token=b"renamed-"), before=b"another-")
    lapse(jobs, mine._replace(token=b"renamed-"), 30)
    (event,) = ear.next()
    assert isinstance(event, Due)
    assert event.due_in == pytest.approx(20, abs=0.001), "the first thing that is due"


def test_two_listen_to_one_queue_until_both_have_left(store_server: Server, store: RedisStore) -> None:
    jobs = LiveQueue(store)
    ear = Ear(store_server.url)
    ear.listen(jobs)
    ear.listen(jobs)  # it is told of that too
    ear.leave(jobs)
    jobs.post("heard")
    heard: list[Event] = ear.next()
    assert len(heard) == 1
    ear.leave(jobs)
    ear.listen(jobs)
    assert numbers(jobs.page().messages)
    ear.stop()

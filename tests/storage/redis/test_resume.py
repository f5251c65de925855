"""What a subscriber that resumes has missed: told exactly, with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from storage.records import DeadLetter, Gap, Start, Subscribed
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import SECOND, LiveQueue, connected, new_claim


@pytest.fixture
def jobs(store_server: Server) -> Iterator[LiveQueue]:
    with connected(store_server) as store:
        yield LiveQueue(store)


def subscribe(jobs: LiveQueue, start: Start | None = None, name: str = "http://here") -> Subscribed:
    made = run(lambda: jobs.store.subscribe(jobs.queue, name, 600, {}, confirmed=True, start=start))
    assert made is not None
    return made


def test_nothing_is_missed_where_nothing_has_gone(jobs: LiveQueue) -> None:
    assert jobs.gap(0) is None
    for position in (0, *jobs.post(1, 2, 3)):
        assert jobs.gap(position) is None


def pop(jobs: LiveQueue) -> str:
    jobs.pop(1)
    return "deleted"


def delete(jobs: LiveQueue) -> str:
    jobs.delete(jobs.page().messages[0].sequence)
    return "deleted"


def delete_many(jobs: LiveQueue) -> str:
    jobs.delete_many(jobs.page().messages[0].sequence)
    return "deleted"


def acknowledge(jobs: LiveQueue) -> str:
    claim = new_claim()
    (message,) = jobs.claim(claim, limit=1).messages
    jobs.delete(message.sequence, claim)
    return "deleted"


def give_up(jobs: LiveQueue) -> str:
    jobs.claim(limit=1)
    jobs.advance(60)
    assert jobs.claim(limit=1, dead_letter=DeadLetter(1, "dead", None)).dead_lettered == 1
    return "deleted"


@pytest.mark.parametrize("way", [pop, delete, delete_many, acknowledge, give_up])
def test_what_has_gone_is_missed_by_those_before_it(jobs: LiveQueue, way: Callable[[LiveQueue], str]) -> None:
    first, second = jobs.post(1, 2)
    reason = way(jobs)
    assert jobs.gap(0) == (0, first, reason)
    assert jobs.gap(first) is None
    assert jobs.gap(second) is None


def test_expiry(jobs: LiveQueue) -> None:
    (first,) = jobs.post(1, ttl=60)
    (second,) = jobs.post(2)
    jobs.advance(61)
    assert jobs.gap(0) == (0, first, "expired")
    assert jobs.gap(second) is None


def test_a_purge_takes_the_claimed_too(jobs: LiveQueue) -> None:
    first, second = jobs.post(1, 2)
    jobs.claim(limit=2)
    third, *_ = jobs.post(3, 4)
    jobs.delete(third)
    jobs.claim(limit=1)
    jobs.purge()
    assert jobs.gap(first) == (first, third + 1, "purged")
    assert jobs.gap(third + 1) is None
    jobs.purge()
    assert jobs.gap(second) == (second, third + 1, "purged")


def test_the_reason_is_that_of_the_last_one(jobs: LiveQueue) -> None:
    first, second, third = jobs.post(1, 2, 3)
    jobs.delete(third)
    jobs.advance(3601)
    assert jobs.gap(first) == (first, third, "deleted")
    assert jobs.gap(second) == (second, third, "deleted")


def test_what_was_never_to_be_seen_is_not_missed(jobs: LiveQueue) -> None:
    (first,) = jobs.post(1)
    late, later = jobs.post("late", "later", delay=60)
    jobs.delete(late)
    assert jobs.gap(0) is None
    assert jobs.gap(first) is None
    assert jobs.gap(later) is None  # it waits; a list shows it, so it can be somebody's marker
    jobs.advance(60)
    place = jobs.page().messages[-1].position
    jobs.delete(later)
    assert jobs.gap(first) == (first, place, "deleted")


def test_a_place_that_is_nobodys_was_lost_by_the_store(jobs: LiveQueue) -> None:
    first, second = jobs.post(1, 2)
    lost = second + 5 * SECOND
    assert jobs.gap(lost) == (second, lost, "failover")
    assert jobs.gap(first - 1) == (0, first - 1, "failover")
    jobs.claim(limit=2)
    assert jobs.gap(lost) == (second, lost, "failover")
    jobs.advance(10)
    (third,) = jobs.post(3)
    assert jobs.gap(lost) == (second, lost, "failover")
    jobs.delete(second)
    assert jobs.gap(lost) == (second, lost, "failover")
    jobs.delete(third)
    assert jobs.gap(lost) == (lost, third, "deleted")


def test_a_subscription_is_told_where_it_stands(jobs: LiveQueue) -> None:
    assert subscribe(jobs, name="http://empty").position == 0
    first, second = jobs.post(1, 2)
    assert subscribe(jobs, name="http://now")[1:3] == (second, None)
    assert subscribe(jobs, Start(first), "http://first")[1:3] == (first, None)
    assert subscribe(jobs, Start(), "http://all")[1:3] == (0, None)
    jobs.delete(first)
    assert subscribe(jobs, Start(), "http://late")[1:3] == (0, Gap(0, first, "deleted"))
    made = subscribe(jobs, Start(second + SECOND), "http://lost")
    assert made[1:3] == (second, Gap(second, second + SECOND, "failover"))


def test_a_message_stands_for_its_place(jobs: LiveQueue) -> None:
    jobs.post(1)
    (late,) = jobs.post("late", delay=60)
    (third,) = jobs.post(3)
    jobs.advance(60)
    place = jobs.page().messages[-1].position
    assert place > third
    assert subscribe(jobs, Start(late, is_sequence=True), "http://a")[1:3] == (place, None)
    jobs.delete(late)
    assert subscribe(jobs, Start(late, is_sequence=True), "http://b")[1:3] == (
        late,
        Gap(late, place, "deleted"),
    )


def test_marks_outlive_a_purge_and_leave_with_the_queue(jobs: LiveQueue, store_server: Server) -> None:
    (first,) = jobs.post(1)
    jobs.delete(first)
    jobs.purge()
    assert jobs.gap(0) == (0, first, "deleted")
    run(jobs.store.remove, jobs.queue)
    assert jobs.keys(store_server.client()) == {"head"}

"""Statistics: counts and the two ends (protocol.md section 3; docs/compatibility.md, 16)."""

from __future__ import annotations

from storage.records import Stats
from tests.support.store import LiveQueue, new_claim


def ends(jobs: LiveQueue) -> tuple[int | None, int | None]:
    """The sequences of the oldest and the newest message."""
    stats = jobs.stats()
    return stats.oldest and stats.oldest.sequence, stats.newest and stats.newest.sequence


def test_an_empty_queue(jobs: LiveQueue) -> None:
    assert jobs.stats() == Stats(0, 0, 0, None, None)


def test_one_message_is_both_ends(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("only")
    message = jobs.one(posted)
    assert jobs.stats() == Stats(1, 0, 0, message, message)


def test_every_state_is_counted_once(jobs: LiveQueue) -> None:
    jobs.post(*range(5))
    jobs.post(5, 6, delay=10)
    claim = new_claim()
    jobs.claim(claim, limit=2)
    assert jobs.counts() == (3, 2, 2)
    jobs.release(claim)
    assert jobs.counts() == (5, 0, 2)
    jobs.advance(10)
    assert jobs.counts() == (7, 0, 0)
    jobs.pop(limit=4)
    assert jobs.counts() == (3, 0, 0)


def test_the_ends_are_found_in_every_state(jobs: LiveQueue) -> None:
    free = jobs.post("free")[0]
    assert ends(jobs) == (free, free)
    jobs.claim()
    assert ends(jobs) == (free, free)
    late = jobs.post("late", delay=60)[0]
    assert ends(jobs) == (free, late)
    last = jobs.post("last")[0]
    assert ends(jobs) == (free, last)
    jobs.delete_many(free)
    assert ends(jobs) == (late, last)
    jobs.advance(60)
    assert ends(jobs) == (last, late), "the order is that of places"


def test_the_ends_are_shown_with_claim_and_count(jobs: LiveQueue) -> None:
    jobs.post("first", "second")
    claim = new_claim()
    (taken,) = jobs.claim(claim, limit=1).messages
    stats = jobs.stats()
    assert stats.oldest == taken
    assert stats.newest is not None
    assert (stats.newest.claim_id, stats.newest.claim_count) == (None, 0)


def test_nothing_expired_is_counted(jobs: LiveQueue) -> None:
    jobs.post(*range(3), ttl=60)
    claim = new_claim()
    jobs.claim(claim, ttl=60, grace=0, limit=1)
    jobs.post("lasting")
    jobs.post("late", ttl=60, delay=900)
    jobs.advance(60)
    assert jobs.counts() == (1, 0, 0)
    assert jobs.held_by(claim) is None
    jobs.advance(3600)
    assert jobs.stats() == Stats(0, 0, 0, None, None)

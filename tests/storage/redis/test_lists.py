"""Lists: order, flags, markers, pages, the echo filter (protocol.md section 3; docs/compatibility.md, 17)."""

from __future__ import annotations

from typing import Any

import pytest

from storage.records import Page, Start
from tests.support.store import ALICE, BOB, LiveQueue, bodies, new_claim, numbers


def pages(jobs: LiveQueue, limit: int, **flags: Any) -> list[Any]:
    """All bodies of a queue, read page by page."""
    found: list[Any] = []
    start = Start()
    while messages := (page := jobs.page(start, limit, **flags)).messages:
        found += bodies(messages)
        start = Start(page.position)
    return found


def mixed(jobs: LiveQueue) -> dict[str, int]:
    """A queue with messages in every state, and their sequences: two of each, by two clients."""
    names = ["late 1", "held 1", "free 1", "late 2", "held 2", "free 2"]
    posted = {
        name: jobs.post(name, delay=10 if name.startswith("late") else 0, client=(ALICE, BOB)[i % 2])[0]
        for i, name in enumerate(names)
    }
    others = new_claim()
    jobs.claim(limit=1)
    jobs.claim(others, limit=1)
    jobs.claim(limit=1)
    jobs.release(others)
    return posted


def test_an_empty_queue(jobs: LiveQueue) -> None:
    assert jobs.page() == Page([], 0)
    assert jobs.page(Start(17)) == Page([], 17)
    assert jobs.page(claimed=True, delayed=True, not_from=ALICE) == Page([], 0)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ({}, ["free 1", "free 2"]),
        ({"claimed": True}, ["held 1", "free 1", "held 2", "free 2"]),
        ({"delayed": True}, ["late 1", "free 1", "late 2", "free 2"]),
        ({"claimed": True, "delayed": True}, ["late 1", "held 1", "free 1", "late 2", "held 2", "free 2"]),
        ({"not_from": ALICE}, ["free 2"]),
        ({"not_from": BOB, "claimed": True, "delayed": True}, ["late 1", "free 1", "held 2"]),
    ],
)
def test_flags_and_pages_of_every_size(jobs: LiveQueue, flags: dict[str, Any], shown: list[str]) -> None:
    mixed(jobs)
    assert jobs.bodies(**flags) == shown
    for limit in range(1, 8):
        assert pages(jobs, limit, **flags) == shown
    assert bodies(jobs.page(limit=2, **flags).messages) == shown[:2], "a page is full if enough are there"


def test_a_marker_is_the_place_of_the_last_message_looked_at(jobs: LiveQueue) -> None:
    posted = jobs.post(1, 2, 3, client=ALICE)
    assert jobs.page(limit=2).position == posted[1]
    assert jobs.page(limit=10).position == posted[2]
    assert jobs.page(limit=10, not_from=ALICE) == Page([], posted[2])
    last = posted[2]
    assert jobs.page(Start(last)) == Page([], last)
    jobs.post(4)
    assert jobs.bodies(start=Start(last)) == [4]


@pytest.mark.parametrize("flags", [{}, {"claimed": True, "delayed": True}])
def test_a_marker_by_position_goes_on_where_its_message_was(jobs: LiveQueue, flags: dict[str, Any]) -> None:
    posted = jobs.post(*range(6))
    jobs.delete_many(*posted[1:3])
    for is_sequence in (False, True):
        assert jobs.bodies(start=Start(posted[0], is_sequence), **flags) == [3, 4, 5]
        assert jobs.bodies(start=Start(posted[2], is_sequence), **flags) == [3, 4, 5]
        assert jobs.bodies(start=Start(posted[3], is_sequence), **flags) == [4, 5]
    assert jobs.bodies(start=Start(2**53 - 1), **flags) == []
    assert jobs.bodies(start=Start(2**53 - 1, True), **flags) == []
    assert jobs.bodies(start=Start(1, True), **flags) == [0, 3, 4, 5]


def test_a_marker_by_id_stands_where_its_message_stands(jobs: LiveQueue) -> None:
    (late,) = jobs.post("late", delay=10)
    jobs.post("before it")
    assert jobs.bodies(start=Start(late, True), delayed=True) == ["before it"]
    jobs.advance(10)
    assert jobs.bodies() == ["before it", "late"]
    jobs.post("behind it")
    assert jobs.bodies(start=Start(late, True)) == ["behind it"]
    jobs.claim(limit=2)
    assert jobs.bodies(start=Start(late, True)) == ["behind it"]
    jobs.delete_many(late)
    assert jobs.bodies(start=Start(late, True), claimed=True) == ["before it", "behind it"], "never later"


def test_a_claimed_marker_and_what_is_claimed_meanwhile(jobs: LiveQueue) -> None:
    posted = jobs.post(*range(4))
    first = jobs.page(limit=2)
    jobs.claim(limit=3)
    assert jobs.bodies(start=Start(first.position)) == [3]
    assert jobs.bodies(start=Start(posted[1], True), claimed=True) == [2, 3]


def test_thousands_of_own_messages_are_passed_over(jobs: LiveQueue) -> None:
    own = jobs.post_many(3500, client=ALICE)
    (other,) = jobs.post("other's", client=BOB)
    jobs.post_many(1200, client=ALICE)
    (last,) = jobs.post("last", client=BOB)
    assert jobs.page(limit=1, not_from=ALICE).position == other
    assert numbers(jobs.page(limit=2, not_from=ALICE).messages) == [other, last]
    assert jobs.page(limit=3, not_from=ALICE).position == last
    assert pages(jobs, 1, not_from=ALICE) == ["other's", "last"]
    assert numbers(jobs.page(Start(own[700]), limit=1, not_from=ALICE).messages) == [other]
    assert len(jobs.page(limit=5000, not_from=BOB).messages) == 4700


def test_thousands_of_own_messages_in_every_state(jobs: LiveQueue) -> None:
    jobs.post_many(1500, client=ALICE)
    for _ in range(3):
        jobs.claim(limit=500)
    jobs.post_many(1500, client=ALICE, delay=60)
    jobs.post_many(1500, client=ALICE)
    (other,) = jobs.post("other's", client=BOB, delay=60)
    assert jobs.bodies(not_from=ALICE) == []
    assert jobs.bodies(not_from=ALICE, claimed=True) == []
    assert jobs.page(limit=1, not_from=ALICE, claimed=True, delayed=True).position == other
    assert jobs.bodies(limit=5000, not_from=BOB, claimed=True, delayed=True) == list(range(1500)) * 3


def test_a_page_ends_exactly_with_the_messages(jobs: LiveQueue) -> None:
    posted = jobs.post_many(1000)
    page = jobs.page(limit=1000)
    assert numbers(page.messages) == posted
    assert jobs.page(Start(page.position), limit=1000) == Page([], posted[-1])
    assert jobs.page(limit=1000, not_from=ALICE) == Page([], posted[-1])

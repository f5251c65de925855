"""What is copied of a queue: all of it, in pages, and what has changed until it is acknowledged."""

from __future__ import annotations

import pytest

from storage.redis import moving
from tests.storage.redis.moving.conftest import OTHER, TOKEN, Moving, deliver
from tests.support.deliveries import Deliveries
from tests.support.moves import contents, fill, subscribe, value_of
from tests.support.reactor import run
from tests.support.store import new_claim


def test_a_queue_of_everything_moves_exactly(move: Moving) -> None:
    state = fill(move.live)
    deliver(move.live)
    subscribe(move.live, "http://longer", 10**6)
    before = contents(move.live.store, move.queue)
    page, held = move.live.page(claimed=True, delayed=True), move.live.held_by(state["claim"])
    move.begin()
    move.copy()
    assert move.catch_up() == 0
    there = move.leave()
    assert contents(move.store, move.queue) == before
    assert value_of(move.live.store, move.queue, "head").keys() == {b"moved", b"by"}
    assert contents(move.live.store, move.queue).keys() == {"head"}
    assert there.page(claimed=True, delayed=True) == page
    assert there.held_by(state["claim"]) == held
    # What is due there is known there.
    there.advance(60)
    assert there.counts() == (6 + 3 + 2, 2, 1)
    assert there.post("goes on")[0] > there.page(limit=1000).messages[-2].sequence


def test_places_move_and_their_owner_does_not(move: Moving) -> None:
    state = fill(move.live)
    hooks, hook = state["deliveries"], state["hooks"][0]
    (posted,) = move.live.post("news")
    hooks.delivered(hook, posted)
    hooks.postponed(hook, 3, 60, "refused")
    before = hooks.all()
    move.begin()
    move.copy()
    assert hooks.delivered(state["hooks"][1], posted), "it goes on meanwhile"
    there = Deliveries(move.leave())
    assert there.all() is None
    assert there.delivered(hook, posted) is False
    after = there.own().all()
    assert [each.subscription.sequence for each in after or []] == state["hooks"]
    assert (after or [])[0].position == posted
    assert (after or [])[0].attempts == 3
    assert before is not None
    assert there.counts(hook) == before[0].subscription.delivery
    assert run(there.live.store.sweep, there.live.queue).deliveries is True


def test_pages_go_on_where_many_have_one_score(move: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "ITEMS", 4)
    live = move.live
    live.post_many(30)
    # Time stands still: all these claims end at once.
    for _ in range(11):
        live.claim(new_claim(), limit=1, ttl=60)
        live.delete(live.page().messages[0].sequence)
    ends = set(value_of(live.store, live.queue, "claims")[1::2])
    assert len(ends) == 1
    move.begin()
    assert move.copy("claims") == 11
    move.copy()
    there, here = move.both()
    assert there == here
    # The last one of a page has gone: those of its score come once more, and none is missed.
    first = run(move.source.copy, live.queue, TOKEN, "claims", "", 0)
    member = bytes.fromhex(first.cursor.partition(":")[2])
    live.release(member)
    again = run(move.source.copy, live.queue, TOKEN, "claims", first.cursor, 0)
    assert set(again.items) & set(first.items)
    move.catch_up()
    there, here = move.both()
    assert there == here


def test_pages_and_notes_are_bounded_by_bytes(move: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "BYTES", 10_000)
    live = move.live
    live.post(*("x" * 6000 for _ in range(7)))
    move.begin()
    assert len(run(move.source.copy, live.queue, TOKEN, "free", "", live.now).items) == 2
    live.delete(live.post(*("y" * 6000 for _ in range(5)))[0])
    items, left = run(move.source.take, live.queue, TOKEN)
    assert 2 <= len(items) <= 4  # two large ones, and in any order what says that one was deleted
    assert len(items) + left == 6  # five messages, and that one was deleted
    move.copy()
    move.catch_up()
    there, here = move.both()
    assert there == here


def test_what_was_taken_is_taken_again_until_it_is_acknowledged(move: Moving) -> None:
    live = move.live
    move.begin()
    posted = live.post("a", "b")
    items, left = run(move.source.take, live.queue, TOKEN)
    assert (len(items), left) == (2, 0)
    live.delete(posted[0])
    again, left = run(move.source.take, live.queue, TOKEN)
    assert (len(again), left) == (3, 0)  # and that one was deleted
    assert again != items
    assert run(move.source.copy, live.queue, TOKEN, "free", "", live.now).noted == 3
    run(move.source.acknowledge, live.queue, TOKEN)
    assert run(move.source.take, live.queue, TOKEN) == ([], 0)


def test_a_purge_does_not_take_along_what_was_posted_after_it(
    move: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHANGES", 5)
    live = move.live
    move.begin()
    live.post_many(50)
    live.purge(subscriptions=False)
    live.post_many(50)
    move.catch_up()
    there, here = move.both()
    assert there == here
    assert len(here["messages"]) == 50


def test_a_purge_does_not_take_along_who_subscribed_after_it(
    move: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHANGES", 2)
    live = move.live
    move.begin()
    for number in range(20):
        subscribe(live, f"http://{number}")
    live.purge(messages=False)
    for number in range(20):
        subscribe(live, f"http://again/{number}")
    move.catch_up()
    there, here = move.both()
    assert there == here
    assert len(here["subscriptions"]) == 20


def test_nothing_is_noted_for_a_queue_that_stays(move: Moving) -> None:
    fill(move.live)
    for name in ("noted", "taken"):
        assert value_of(move.live.store, move.queue, name) is None
    move.begin()
    move.live.post("a")
    assert value_of(move.live.store, move.queue, "noted") is not None
    run(move.source.give_up, move.queue, OTHER)
    assert value_of(move.live.store, move.queue, "noted") is not None
    run(move.source.give_up, move.queue, TOKEN)
    move.live.post("b")
    assert value_of(move.live.store, move.queue, "noted") is None
    assert b"move" not in value_of(move.live.store, move.queue, "head")

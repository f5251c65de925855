"""Whose move it is: tokens, and what becomes of notes and copies whose mover is gone."""

from __future__ import annotations

import pytest

from storage.errors import MoveLapsed, MoveOvertaken, StoreFailed
from storage.moves import Numbers
from storage.redis import moving
from storage.redis.moving import RedisMoves
from tests.storage.redis.moving.conftest import OTHER, TOKEN, Moving, deliver, letters
from tests.support.moves import KEYS, bury, contents, fill, value_of
from tests.support.reactor import run, wait_until


def test_without_its_mover_the_source_forgets_the_notes(move: Moving) -> None:
    brief = RedisMoves(move.live.store, lease=0.01)
    run(brief.begin, move.queue, TOKEN, b"")
    move.live.post("noted")

    def is_forgotten() -> bool:
        move.live.post("more")
        return b"move" not in value_of(move.live.store, move.queue, "head")

    wait_until(is_forgotten)
    assert value_of(move.live.store, move.queue, "noted") is None
    for call in (
        lambda: move.source.copy(move.queue, TOKEN, "free", "", 0),
        lambda: move.source.take(move.queue, TOKEN),
        lambda: move.source.acknowledge(move.queue, TOKEN),
        lambda: move.source.fence(move.queue, TOKEN, 1),
        lambda: move.source.outbox(move.queue, TOKEN, 0),
        lambda: move.source.depart(move.queue, TOKEN, "there"),
    ):
        with pytest.raises(MoveLapsed):
            run(call)
    assert run(move.source.begin, move.queue, OTHER, TOKEN).kept is False


def test_the_notes_go_on_to_another_mover(move: Moving) -> None:
    assert move.begin() == (False, False)
    move.copy()
    move.live.post("a")
    run(move.source.take, move.queue, TOKEN)
    move.live.post("b")
    assert move.begin(TOKEN, OTHER) == (True, True)
    for call in (
        lambda: move.source.take(move.queue, TOKEN),
        lambda: move.target.put(move.queue, TOKEN, []),
        lambda: move.target.settle_in(move.queue, TOKEN, Numbers(1, 1), 1, 0),
        lambda: move.source.depart(move.queue, TOKEN, "there"),
    ):
        with pytest.raises(MoveOvertaken):
            run(call)
    items, _ = run(move.source.take, move.queue, OTHER)
    assert len(items) == 2


def test_another_mover_that_does_not_know_the_one_before_begins_anew(move: Moving) -> None:
    move.live.post("a")
    move.begin()
    move.copy()
    move.live.post("b")
    assert move.begin(b"", OTHER) == (False, False)
    assert contents(move.store, move.queue).keys() <= {"head"}
    assert run(move.source.take, move.queue, OTHER) == ([], 0)


def test_a_repeated_beginning_begins_anew(move: Moving) -> None:
    """Its first answer was lost, and might have been either."""
    move.begin()
    assert move.begin(OTHER, TOKEN) == (False, False)
    assert move.begin(TOKEN, OTHER) == (True, True)
    assert move.begin(TOKEN, OTHER) == (False, False)


def test_an_incomplete_copy_goes_by_itself_and_a_complete_one_stays(move: Moving) -> None:
    fill(move.live)
    deliver(move.live)
    move.begin()
    move.copy()

    def lives(name: str) -> int:
        head = b"zg:{%016x}:" % move.queue.incarnation
        return int(run(move.store.client.execute, "TTL", head + name.encode(), key=head))

    there = [name for name in KEYS if value_of(move.store, move.queue, name)]
    assert len(there) > 10
    assert all(86000 < lives(name) <= 86400 for name in there)
    move.settle_in()
    assert "outbox" in contents(move.store, move.queue)
    assert all(lives(name) == -1 for name in there)


def test_a_copy_that_is_not_wanted_is_removed_by_its_move_alone(move: Moving) -> None:
    fill(move.live)
    move.begin()
    move.copy()
    run(move.target.clear, move.queue, OTHER)
    assert len(contents(move.store, move.queue)) > 1
    run(move.target.clear, move.queue, TOKEN)
    assert contents(move.store, move.queue) == {}
    move.begin()
    there = move.leave()
    there.post("lives")
    run(move.target.clear, move.queue, TOKEN)
    assert there.bodies() == ["lives"]


def test_a_queue_that_lives_in_the_target_is_not_overwritten(move: Moving) -> None:
    late = RedisMoves(move.store)
    move.begin()
    there = move.leave()
    there.post("lives")
    for earlier, keep in ((b"", False), (OTHER, True), (TOKEN, True)):
        with pytest.raises(StoreFailed, match="is in the store already"):
            run(lambda e=earlier, k=keep: late.arrive(move.queue, OTHER, e, keep=k))
    assert there.bodies() == ["lives"]


def test_a_complete_copy_that_could_not_be_used_is_gone_on_with(move: Moving) -> None:
    fill(move.live)
    move.begin()
    move.copy()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0)
    assert run(lambda: move.target.arrive(move.queue, TOKEN, TOKEN, keep=True)) is True
    move.live.post("meanwhile")
    move.live.pop()
    run(move.live.store.forget_dead_letter, move.queue, letters(move.live)[0])
    there = move.live.page(claimed=True, delayed=True), letters(move.live)
    here = move.leave()
    assert (here.page(claimed=True, delayed=True), letters(here)) == there
    assert len(there[1]) == 2


def test_an_outbox_that_was_emptied_meanwhile_is_empty_there(move: Moving) -> None:
    bury(move.live, 2)
    move.begin()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0)
    run(lambda: move.target.arrive(move.queue, TOKEN, TOKEN, keep=True))
    for letter in letters(move.live):
        run(move.live.store.forget_dead_letter, move.queue, letter)
    assert letters(move.leave()) == []


def test_a_long_outbox_arrives_in_order(move: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "ITEMS", 3)
    bury(move.live, 10)
    before = letters(move.live)
    move.begin()
    assert letters(move.leave()) == before

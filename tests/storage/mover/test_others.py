"""What others do to a queue that moves: delete it, move it too, meet its mark, give its move up."""

from __future__ import annotations

from typing import Any

import pytest

from storage.catalog.sql import SQLCatalog
from storage.errors import MoveUnfinished, NoQueue, OutcomeUnknown, QueueMoved, StoreFailed
from storage.mover import MoveFailed, QueueDeleted, abandon
from storage.pools import Pool
from storage.redis import moving
from storage.redis.moving import RedisMoves
from tests.storage.mover.conftest import Stores, check_moved, make_mover, new_jobs
from tests.support.moves import Steps, contents, value_of
from tests.support.reactor import run
from tests.support.store import LiveQueue


def test_a_queue_that_is_deleted_meanwhile_leaves_nothing(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue
) -> None:
    for place in ("copy", "take", "fence"):
        live = new_jobs(stores, catalog, f"jobs-{place}")
        steps = Steps(catalog, *stores, live.queue, "there")
        steps.run_until(place)
        delete(stores, catalog, live)
        with pytest.raises(QueueDeleted, match="was deleted while it moved"):
            steps.run_until(None)
        assert contents(stores[1], live.queue) == {}
        assert run(catalog.list_moves, -1, 10) == []
    with pytest.raises(NoQueue):
        run(make_mover(stores, catalog).run, live.queue, "there")


def delete(stores: Stores, catalog: SQLCatalog, live: LiveQueue) -> None:
    for letter in run(stores[0].waiting_dead_letters, live.queue, 100):
        run(stores[0].forget_dead_letter, live.queue, letter)
    assert run(stores[0].remove, live.queue)
    run(catalog.delete_queue, live.queue)


def test_a_queue_that_was_deleted_when_it_had_left(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue
) -> None:
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("switch_pool")
    run(catalog.delete_queue, jobs.queue)
    with pytest.raises(QueueDeleted):
        steps.run_until(None)


@pytest.mark.parametrize(
    "place", ["arrive", "record_move", "copy", "put", "take", "fence", "settle_in", "depart"]
)
def test_two_movers_of_one_queue(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, place: str) -> None:
    """The later one goes on with it, the earlier one says so."""
    first = Steps(catalog, *stores, jobs.queue, "there")
    first.run_until(place)
    second = Steps(catalog, *stores, jobs.queue, "there")
    second.run_until("take")
    with pytest.raises(MoveFailed, match="Another program"):
        first.run_until(None)
    before = contents(stores[0], jobs.queue)
    if place == "arrive":  # it has taken the room in the target once more, before it was told
        with pytest.raises(MoveFailed, match="Another program"):
            second.run_until(None)
        second = Steps(catalog, *stores, jobs.queue, "there")
    second.run_until(None)
    check_moved(stores, catalog, jobs, before)


def test_a_mover_that_slept_while_another_finished(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "ITEMS", 4)
    ends = []
    names = ("begin", "arrive", "record_move", "copy", "put", "take", "fence", "settle_in", "depart")
    for place in (*names, "switch_pool", "open", "forget"):
        live = new_jobs(stores, catalog, f"jobs-{place}")
        first = Steps(catalog, *stores, live.queue, "there")
        first.run_until(place)
        before = contents(stores[0], live.queue)
        second = Steps(catalog, *stores, live.queue, "there")
        second.run_until(None)
        if place in ("switch_pool", "open", "forget"):
            before = contents(stores[1], live.queue)
        check_moved(stores, catalog, live, before)
        try:
            first.run_until(None)
            ends.append("done")
        except MoveFailed as error:
            ends.append(str(error))
        except StoreFailed as error:
            assert place == "arrive"
            ends.append(str(error))
        check_moved(stores, catalog, live, before)
    assert ends.count("done") >= 6
    for end in ends:
        assert end == "done" or "Another program" in end or "is in the store already" in end


def test_a_queue_that_is_switched_by_whoever_meets_its_mark(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue
) -> None:
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("switch_pool")
    before = contents(stores[1], jobs.queue)
    with pytest.raises(QueueMoved) as told:
        run(stores[0].create, jobs.queue)
    assert run(catalog.switch_pool, jobs.queue, told.value.pool)
    assert run(catalog.list_moves, -1, 10) == []
    steps.run_until(None)
    check_moved(stores, catalog, jobs, before)


def test_a_queue_that_left_although_the_answer_was_lost(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    depart = RedisMoves.depart

    async def unanswered(*arguments: Any) -> bool:
        await depart(*arguments)
        raise OutcomeUnknown("The connection broke.")

    monkeypatch.setattr(RedisMoves, "depart", unanswered)
    before = contents(stores[0], jobs.queue)
    run(make_mover(stores, catalog).run, jobs.queue, "there")
    check_moved(stores, catalog, jobs, before)


def test_a_queue_that_may_have_left_and_has_not(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> bool:
        raise OutcomeUnknown("The connection broke.")

    with monkeypatch.context() as patch:
        patch.setattr(RedisMoves, "depart", broken)
        with pytest.raises(OutcomeUnknown):
            run(make_mover(stores, catalog).run, jobs.queue, "there")
    jobs.post("goes on at once")
    before = contents(stores[0], jobs.queue)
    again = Steps(catalog, *stores, jobs.queue, "there")
    again.run_until(None)
    assert again.done.count("copy") == 1  # it went on with what was there
    check_moved(stores, catalog, jobs, before)


def test_a_move_can_be_given_up(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue) -> None:
    run(catalog.create_pool, Pool("third", "redis://third", weight=0))
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("settle_in")
    steps.kill()
    with pytest.raises(MoveUnfinished, match="to pool there has not ended"):
        run(make_mover(stores, catalog).run, jobs.queue, "third")
    (move,) = run(catalog.list_moves, -1, 10)
    here, there = (RedisMoves(store) for store in stores)
    run(abandon, catalog, here, there, jobs.queue, move)
    assert run(catalog.list_moves, -1, 10) == []
    assert contents(stores[1], jobs.queue) == {}
    assert set(value_of(stores[0], jobs.queue, "head")) == {
        *(b"last", b"visible", b"wake", b"bytes", b"timelines", b"owner"),
    }
    jobs.post("goes on")


def test_a_move_that_is_done_cannot_be_given_up(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue) -> None:
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("switch_pool")
    steps.kill()
    before = contents(stores[1], jobs.queue)
    (move,) = run(catalog.list_moves, -1, 10)
    with pytest.raises(QueueMoved):
        run(abandon, catalog, RedisMoves(stores[0]), None, jobs.queue, move)
    assert contents(stores[1], jobs.queue) == before

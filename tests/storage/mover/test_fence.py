"""Moves whose fence lasts too long, or not long enough, and queues that change too fast for theirs."""

from __future__ import annotations

import time

import pytest

from storage import mover as mover_module
from storage.catalog.sql import SQLCatalog
from storage.mover import MoveFailed
from storage.redis import moving
from tests.storage.mover.conftest import Stores, check_moved, found, make_mover
from tests.support.moves import Steps, bury, contents
from tests.support.reactor import run, wait_until
from tests.support.store import LiveQueue


def test_a_fence_that_takes_too_long_is_taken_down_and_put_up_again(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(jobs, 2)
    monkeypatch.setattr(mover_module, "PATIENCE", 1.0)
    monkeypatch.setattr(mover_module, "FENCE", 30)
    steps = Steps(catalog, *stores, jobs.queue, "there")
    for place in ("take", "outbox", "settle_in"):
        steps.run_until("fence")
        steps.step()
        steps.run_until(place)
        over = time.monotonic() + 1
        wait_until(lambda: time.monotonic() > over)  # noqa: B023  # called within the round
        steps.run_until("fence")
        was_fenced = steps.fenced
        steps.step()
        assert (was_fenced, steps.fenced) == (True, False)
        jobs.post(f"used after {place}")
    monkeypatch.setattr(mover_module, "PATIENCE", 30)
    before = contents(stores[0], jobs.queue)
    steps.run_until(None)
    check_moved(stores, catalog, jobs, before)


def test_a_fence_that_lapses_keeps_the_queue_where_it_is(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_module, "FENCE", 0.05)
    monkeypatch.setattr(mover_module, "PATIENCE", 30)
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("depart")
    jobs.post("waits, and is done")
    assert steps.step() == "fence"
    monkeypatch.setattr(mover_module, "FENCE", 30)
    steps.run_until("depart")
    before = contents(stores[0], jobs.queue)
    steps.run_until(None)
    check_moved(stores, catalog, jobs, before)
    assert steps.done.count("depart") == 2


def test_a_queue_that_changes_too_fast_stays(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_module, "PATIENCE", 0.0)
    monkeypatch.setattr(mover_module, "PAUSE", 0.001)
    with pytest.raises(MoveFailed, match="could not be moved in 10 tries"):
        run(make_mover(stores, catalog).run, jobs.queue, "there")
    assert found(catalog, jobs).pool == "default"
    jobs.post("goes on")
    monkeypatch.undo()
    before = contents(stores[0], jobs.queue)
    run(make_mover(stores, catalog).run, jobs.queue, "there")
    check_moved(stores, catalog, jobs, before)


def test_notes_are_kept_short_while_pages_are_copied(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "ITEMS", 3)
    monkeypatch.setattr(mover_module, "MANY", 10)
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("copy")
    jobs.post_many(50)
    steps.run_until("take")
    assert steps.done.count("copy") == 1
    before = contents(stores[0], jobs.queue)
    steps.run_until(None)
    check_moved(stores, catalog, jobs, before)

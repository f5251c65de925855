"""Moves that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.catalog.sql import SQLCatalog
from storage.errors import StoreUnavailable, UnknownPool
from storage.mover import MoveFailed
from tests.storage.mover.conftest import Stores, check_moved, make_mover, new_jobs
from tests.support.moves import Steps, contents
from tests.support.reactor import run
from tests.support.servers import Server, start_valkey
from tests.support.store import LiveQueue, connected


def test_pools_that_are_one_store(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue) -> None:
    with pytest.raises(MoveFailed, match="default and there are one store"):
        run(make_mover((stores[0], stores[0]), catalog).run, jobs.queue, "there")
    assert run(catalog.list_moves, -1, 10) == []


def test_a_store_that_has_no_identity(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue) -> None:
    stores[1].identity = b""
    with pytest.raises(MoveFailed, match="what tells it from others"):
        run(make_mover(stores, catalog).run, jobs.queue, "there")


def test_a_pool_that_does_not_exist(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue) -> None:
    with pytest.raises(UnknownPool, match="nowhere"):
        run(make_mover(stores, catalog).run, jobs.queue, "nowhere")


@pytest.mark.parametrize("place", ["copy", "fence", "settle_in", "depart"])
def test_a_target_that_dies_leaves_the_queue_working(
    valkey: Server, catalog: SQLCatalog, tmp_path: Path, place: str
) -> None:
    with (
        start_valkey(tmp_path / "dies", appendonly="yes") as server,
        connected(valkey) as source,
        connected(server) as target,
    ):
        live = new_jobs((source, target), catalog, "jobs")
        steps = Steps(catalog, source, target, live.queue, "there")
        steps.run_until(place)
        server.kill()
        if place != "depart":
            with pytest.raises(StoreUnavailable):
                steps.run_until(None)
            assert not steps.fenced
            live.post("goes on")
            before = contents(source, live.queue)
        else:  # it has left; the target is complete, and comes back
            before = contents(source, live.queue)
            steps.run_until(None)
        server.restart()
        run(target.client.connected, 10)
        if place != "depart":
            run(make_mover((source, target), catalog).run, live.queue, "there")
            check_moved((source, target), catalog, live, before)
        assert contents(target, live.queue) == before

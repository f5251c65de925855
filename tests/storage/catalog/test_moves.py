"""Unfinished moves of queues in the catalog, on each database."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from dataclasses import replace

import pytest

from storage.catalog.sql import SQLCatalog
from storage.errors import MoveUnfinished, NoQueue, PoolInUse, UnknownPool
from storage.moves import Move
from storage.pools import Pool
from storage.records import Queue
from tests.support.reactor import run

ONE, TWO = b"1" * 16, b"\xff" * 16


@pytest.fixture
def queue(catalog: SQLCatalog) -> Queue:
    """A queue in the pool `default`, beside which there are two others."""
    for name in ("ssd", "hdd"):
        run(catalog.create_pool, Pool(name, "redis://x", weight=0))
    created: tuple[Queue, bool] = run(catalog.create_queue, "p", "q", {"a": 1})
    return created[0]


def test_a_move_begins_once(catalog: SQLCatalog, queue: Queue) -> None:
    assert run(catalog.get_move, queue) is None
    move = run(catalog.begin_move, queue, "ssd")
    assert move == Move(queue.incarnation, "ssd", b"", "copying", "")
    assert run(catalog.begin_move, queue, "ssd") == move
    assert run(catalog.get_move, queue) == move
    with pytest.raises(MoveUnfinished, match=r"to pool ssd has not ended: .* to default, where it is"):
        run(catalog.begin_move, queue, "hdd")
    run(catalog.end_move, queue)
    run(catalog.end_move, queue)
    assert run(catalog.begin_move, queue, "hdd").to_pool == "hdd"


def test_what_does_not_exist_does_not_move(catalog: SQLCatalog, queue: Queue) -> None:
    with pytest.raises(UnknownPool, match="nowhere"):
        run(catalog.begin_move, queue, "nowhere")
    with pytest.raises(UnknownPool, match="nowhere"):
        run(catalog.switch_pool, queue, "nowhere")
    run(catalog.delete_queue, queue)
    with pytest.raises(NoQueue):
        run(catalog.begin_move, queue, "ssd")
    assert run(catalog.list_moves, -1, 10) == []


def test_who_has_the_token_records_how_far_it_is(catalog: SQLCatalog, queue: Queue) -> None:
    move = run(catalog.begin_move, queue, "ssd")
    mine = replace(move, token=ONE, step="switching", progress="free 1:ff 12")
    assert run(catalog.record_move, move, mine)
    assert run(catalog.get_move, queue) == mine
    # Once more, because its answer was lost; or by one that is too late.
    assert run(catalog.record_move, move, mine)
    assert not run(catalog.record_move, move, replace(move, token=TWO))
    assert run(catalog.get_move, queue) == mine
    assert run(catalog.record_move, mine, replace(mine, token=TWO, progress=""))
    assert not run(catalog.record_move, mine, mine)
    run(catalog.end_move, queue)
    assert not run(catalog.record_move, mine, mine)


def test_the_queue_is_switched_once(catalog: SQLCatalog, queue: Queue) -> None:
    run(catalog.begin_move, queue, "ssd")
    assert run(catalog.switch_pool, queue, "ssd")
    assert run(catalog.get_queue, "p", "q") == replace(queue, pool="ssd")
    assert run(catalog.list_moves, -1, 10) == []
    # Whoever says the same later is right too, and one that is out of date is not.
    assert run(catalog.switch_pool, queue, "ssd")
    assert not run(catalog.switch_pool, queue, "hdd")
    there = replace(queue, pool="ssd")
    assert run(catalog.switch_pool, there, "hdd")
    assert not run(catalog.switch_pool, queue, "ssd")
    assert run(catalog.get_queue, "p", "q") == replace(queue, pool="hdd")
    run(catalog.delete_queue, queue)
    assert not run(catalog.switch_pool, there, "hdd")


def test_another_move_outlives_a_switch_that_comes_late(catalog: SQLCatalog, queue: Queue) -> None:
    assert run(catalog.switch_pool, queue, "ssd")
    run(catalog.begin_move, replace(queue, pool="ssd"), "hdd")
    assert run(catalog.switch_pool, queue, "ssd")
    assert [move.to_pool for move in run(catalog.list_moves, -1, 10)] == ["hdd"]


def test_metadata_can_change_while_a_queue_moves(catalog: SQLCatalog, queue: Queue) -> None:
    run(catalog.begin_move, queue, "ssd")
    assert run(catalog.update_queue, queue, {"a": 2})
    assert run(catalog.switch_pool, queue, "ssd")
    assert run(catalog.update_queue, replace(queue, serial=1), {"a": 3})
    found = run(catalog.get_queue, "p", "q")
    assert found == Queue("p", "q", queue.incarnation, {"a": 3}, 2, "ssd")


def test_a_move_goes_with_its_queue(catalog: SQLCatalog, queue: Queue) -> None:
    run(catalog.begin_move, queue, "ssd")
    run(catalog.delete_queue, queue)
    assert run(catalog.list_moves, -1, 10) == []
    run(catalog.delete_pool, "ssd")


def test_a_pool_that_a_queue_moves_to_stays(catalog: SQLCatalog, queue: Queue) -> None:
    run(catalog.begin_move, queue, "ssd")
    with pytest.raises(PoolInUse, match=r"used by the unfinished move of queue q\.$"):
        run(catalog.delete_pool, "ssd")
    run(lambda: catalog.update_pool("ssd", weight=1))
    run(lambda: catalog.update_pool("default", weight=0))
    there, _ = run(catalog.create_queue, "p", "r", {})
    run(catalog.begin_move, there, "ssd")
    with pytest.raises(PoolInUse, match=r"used by 1 queue and by the unfinished move of queues q, r\.$"):
        run(catalog.delete_pool, "ssd")


def test_paging_visits_every_move_once(catalog: SQLCatalog, queue: Queue) -> None:
    expected = {queue.incarnation}
    run(catalog.begin_move, queue, "ssd")
    for number in range(6):
        other, _ = run(catalog.create_queue, "p", f"q{number}", {})
        run(catalog.begin_move, other, "hdd")
        expected.add(other.incarnation)
    seen: list[int] = []
    while page := run(catalog.list_moves, seen[-1] if seen else -1, 3):
        seen += [move.incarnation for move in page]
    assert seen == sorted(expected)


def test_queues_are_found_by_name_alone(catalog: SQLCatalog, queue: Queue) -> None:
    other, _ = run(catalog.create_queue, "o", "q", {})
    run(catalog.create_queue, "o", "Q", {})
    assert run(catalog.find_queues, "q", 10) == [other, queue]
    assert run(catalog.find_queues, "q", 1) == [other]
    assert run(catalog.find_queues, "r", 10) == []


def test_many_that_begin_at_once_have_one_move(make_catalog: Callable[[], SQLCatalog]) -> None:
    nodes = [make_catalog() for _ in range(4)]
    for name in ("ssd", "hdd"):
        run(nodes[0].create_pool, Pool(name, "redis://x", weight=0))
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for number in range(10):
            queue, _ = run(nodes[0].create_queue, "p", f"q{number}", {})

            def begin(node: int, queue: Queue = queue) -> str:
                try:
                    return run(nodes[node].begin_move, queue, ("ssd", "hdd")[node % 2]).to_pool
                except MoveUnfinished:
                    return ""

            told = set(threads.map(begin, range(4)))
            assert len(told) == 2
            assert "" in told

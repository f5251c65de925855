"""A queue moves from one store to another: whole, once, whatever happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage import mover as mover_module
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.encryption import EncryptionKey, Keyring
from storage.errors import (
    MoveUnfinished,
    NoQueue,
    OutcomeUnknown,
    QueueMoved,
    StoreFailed,
    StoreUnavailable,
    UnknownPool,
)
from storage.mover import MoveFailed, MoveInterrupted, Mover, Progress, QueueDeleted, abandon
from storage.pools import Pool
from storage.records import DeadLetter, Queue
from storage.redis import moving
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.support.moves import Steps, bury, contents, fill, value_of
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server, start_valkey
from tests.support.store import LiveQueue, connected, connected_to

Stores = tuple[RedisStore, RedisStore]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SQLCatalog]:
    """A catalog with a pool to move to."""
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    run(catalog.create_pool, Pool("there", "redis://there", weight=0))
    yield catalog
    run(catalog.stop)


@pytest.fixture
def stores(valkey: Server, redis7: Server) -> Iterator[Stores]:
    """The store of the pool `default`, and that of the pool `there`."""
    for server in (valkey, redis7):
        server.client().flushall()
    with connected(valkey) as source, connected(redis7) as target:
        yield source, target


@pytest.fixture
def jobs(stores: Stores, catalog: SQLCatalog) -> LiveQueue:
    """A queue with some of everything in it, in the pool `default`."""
    return new_jobs(stores, catalog, "jobs")


def new_jobs(stores: Stores, catalog: SQLCatalog, name: str) -> LiveQueue:
    live = LiveQueue(stores[0], name)
    stores[1].scripts.clock_offset = stores[0].scripts.clock_offset
    queue, _ = run(catalog.create_queue, "project", name, {"a": 1})
    run(stores[0].create, queue)
    old, live.queue = live.queue, queue
    run(stores[0].remove, old)
    live.move_to(1_800_000_000_000_000)
    fill(live)
    return live


def make_mover(stores: Stores, catalog: SQLCatalog, told: list[Progress] | None = None) -> Mover:
    seen: list[Progress] = [] if told is None else told
    return Mover(reactor, catalog, RedisMoves(stores[0]), RedisMoves(stores[1]), seen.append)


def found(catalog: SQLCatalog, live: LiveQueue) -> Queue:
    queue = run(catalog.get_queue, live.queue.project, live.queue.name)
    assert queue is not None
    return queue


def check_moved(stores: Stores, catalog: SQLCatalog, live: LiveQueue, before: object) -> None:
    """The queue is in the other pool with all that it had, and nothing of the move is left."""
    assert contents(stores[1], live.queue) == before
    assert set(value_of(stores[1], live.queue, "head")) == {b"last", b"visible", b"wake", b"bytes"}
    assert set(value_of(stores[0], live.queue, "head")) == {b"moved", b"by"}
    assert contents(stores[0], live.queue).keys() == {"head"}
    assert found(catalog, live) == replace(live.queue, pool="there")
    assert run(catalog.list_moves, -1, 10) == []


def test_a_queue_moves_with_all_that_is_in_it(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "ITEMS", 2)
    before = contents(stores[0], jobs.queue)
    told: list[Progress] = []
    run(make_mover(stores, catalog, told).run, jobs.queue, "there")
    check_moved(stores, catalog, jobs, before)
    assert told[-1].copied == 14  # up to where messages have gone is one of them
    assert sorted(progress.copied for progress in told) == [progress.copied for progress in told]
    # And back again.
    back = make_mover((stores[1], stores[0]), catalog)
    run(back.run, found(catalog, jobs), "default")
    assert contents(stores[0], jobs.queue) == before
    assert found(catalog, jobs) == jobs.queue


def test_encrypted_messages_move_as_they_are(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, valkey: Server, redis7: Server
) -> None:
    keyring = Keyring([EncryptionKey("key", bytes(32))])
    rule = DeadLetter(0, "dead", None)
    secret = replace(jobs.queue, metadata={"_enable_encrypt_messages": True})
    with (
        connected_to(valkey.url, keyring=keyring) as source,
        connected_to(redis7.url, keyring=keyring) as target,
    ):
        here = jobs.through(source)
        here.purge()
        here.queue = secret
        here.post("dead")
        assert here.claim(dead_letter=rule).dead_lettered == 1
        here.post("secret")
        letters = run(source.waiting_dead_letters, secret, 100)
        # Who moves the queue has no keys.
        run(make_mover(stores, catalog).run, jobs.queue, "there")
        there = here.through(target)
        assert there.bodies() == ["secret"]
        assert run(target.waiting_dead_letters, secret, 100) == letters
        assert letters[-1].encrypted


def use(live: LiveQueue, number: int) -> None:
    """Change something, each time something else."""
    match number % 7:
        case 0:
            live.post(f"new {number}", f"newer {number}")
        case 1:
            live.claim(limit=1, ttl=60 + number)
        case 2:
            live.pop(1)
        case 3:
            live.post(f"late {number}", delay=number + 1)
        case 4:
            live.delete(live.page(limit=1).messages[0].sequence)
        case 5:
            bury(live)
            live.post("first")
        case 6:
            live.advance(7)
            live.stats()


def test_it_goes_on_wherever_it_was_killed(
    stores: Stores, catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each of its calls in turn, while the queue is used; then run again to the end."""
    monkeypatch.setattr(moving, "ITEMS", 5)
    monkeypatch.setattr(moving, "CHANGES", 5)
    monkeypatch.setattr(mover_module, "RECORD", 0)
    monkeypatch.setattr(mover_module, "FEW", 2)
    monkeypatch.setattr(mover_module, "PATIENCE", 30)
    monkeypatch.setattr(mover_module, "FENCE", 60)
    at, whole, continued = 0, False, 0
    while not whole:
        live = new_jobs(stores, catalog, f"jobs-{at}")
        victim = Steps(catalog, *stores, live.queue, "there")
        expected = None
        for number in range(at):
            if victim.waiting == "depart":
                expected = contents(stores[0], live.queue)
            elif not victim.fenced and expected is None and number < 40:
                use(live, number)
            victim.step()
            if victim.waiting is None:
                whole = True
                break
        victim.kill()
        moving_on = Steps(catalog, *stores, found(catalog, live), "there")
        if found(catalog, live).pool == "there":
            assert contents(stores[1], live.queue) == expected
            moving_on.kill()
            at += 1
            continue
        moving_on.run_until("depart")
        if moving_on.waiting == "depart":
            expected = contents(stores[0], live.queue)
            continued += "copy" in moving_on.done and moving_on.done.count("copy") < 8
        moving_on.run_until(None)
        assert expected is not None
        check_moved(stores, catalog, live, expected)
        at += 1
    assert at > 30
    assert continued > 5


def test_a_move_that_is_stopped_can_be_continued(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "ITEMS", 2)
    monkeypatch.setattr(mover_module, "RECORD", 0)
    steps = Steps(catalog, *stores, jobs.queue, "there")
    steps.run_until("record_move")
    steps.step()
    steps.run_until("record_move")
    steps.mover.stop()
    with pytest.raises(MoveInterrupted, match="same command continues"):
        steps.run_until(None)
    jobs.post("meanwhile")
    before = contents(stores[0], jobs.queue)
    (move,) = run(catalog.list_moves, -1, 10)
    assert (move.to_pool, move.step) == ("there", "copying")
    assert move.progress.startswith("free ")
    again = Steps(catalog, *stores, jobs.queue, "there")
    again.run_until(None)
    check_moved(stores, catalog, jobs, before)
    whole = new_jobs(stores, catalog, "whole")
    whole.post("meanwhile")
    anew = Steps(catalog, *stores, whole.queue, "there")
    anew.run_until(None)
    assert again.done.count("copy") == anew.done.count("copy") - 1


def test_a_move_begins_anew_when_its_notes_were_forgotten(
    stores: Stores, catalog: SQLCatalog, jobs: LiveQueue
) -> None:
    steps = Steps(catalog, *stores, jobs.queue, "there")
    for _ in range(2):
        steps.run_until("take")
        forget_notes(jobs)
        jobs.post("not noted")
        jobs.pop(1)
        steps.step()
    before = contents(stores[0], jobs.queue)
    steps.run_until(None)
    assert steps.done.count("arrive") == 3
    check_moved(stores, catalog, jobs, before)


def forget_notes(live: LiveQueue) -> None:
    """As if the mover had not been heard of for a minute."""
    for key, *command in (("head", "HDEL", "move"), ("noted", "UNLINK"), ("taken", "UNLINK")):
        name = b"zg:{%016x}:%s" % (live.queue.incarnation, key.encode())
        run(live.store.client.execute, command[0], name, *command[1:], key=name)


def test_a_move_that_begins_anew_too_often_ends(stores: Stores, catalog: SQLCatalog, jobs: LiveQueue) -> None:
    steps = Steps(catalog, *stores, jobs.queue, "there")
    with pytest.raises(MoveFailed, match="forgot 3 times"):
        for _ in range(3):
            steps.run_until("take")
            forget_notes(jobs)
            steps.step()
    assert found(catalog, jobs).pool == "default"
    jobs.post("goes on")


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


# Others


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


# What cannot be


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

"""A queue moves from one store to another: whole, once, wherever its mover was killed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage import mover as mover_module
from storage.catalog.sql import SQLCatalog
from storage.encryption import EncryptionKey, Keyring
from storage.mover import MoveFailed, MoveInterrupted, Progress
from storage.records import DeadLetter
from storage.redis import moving
from tests.storage.mover.conftest import Stores, check_moved, found, make_mover, new_jobs, use
from tests.support.moves import Steps, contents
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import LiveQueue, connected_to


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

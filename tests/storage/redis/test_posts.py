"""Posts to one queue that come in one turn of the reactor: stored by one script, answered one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.errors import EncryptionKeyMissing, QueueFull, StaleQueue
from storage.records import Room
from storage.redis.posts import MAX_RECORDS
from storage.redis.runner import ScriptRunner
from storage.redis.store import RedisStore
from tests.support.store import ALICE, BOB, LiveQueue, bodies, new_queue, post_together


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the scripts that are run."""
    names: list[str] = []
    run_script = ScriptRunner.run

    async def watched(runner: ScriptRunner, script, *rest, **options):  # type: ignore[no-untyped-def]  # as it comes
        names.append(script.name)
        return await run_script(runner, script, *rest, **options)

    monkeypatch.setattr(ScriptRunner, "run", watched)
    return names


def test_posts_of_one_turn_to_one_queue_are_one_script(jobs: LiveQueue, scripts: list[str]) -> None:
    other = LiveQueue(jobs.store, "other")
    scripts.clear()
    first, second, elsewhere, third = post_together(
        jobs.store, (jobs.queue, [1]), (jobs.queue, [2, 3]), (other.queue, ["x"]), (jobs.queue, [4])
    )
    assert scripts == ["post", "post"]
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert isinstance(third, list)
    assert bodies(jobs.get(*first, *second, *third)) == [1, 2, 3, 4]
    assert jobs.bodies() == [1, 2, 3, 4]
    assert bodies(other.get(*elsewhere)) == other.bodies() == ["x"]  # type: ignore[misc]  # a list
    assert bodies(jobs.page(not_from=BOB).messages) == [1]
    assert bodies(jobs.page(not_from=ALICE).messages) == [2, 3, 4]


def test_posts_of_two_turns_are_two_scripts(jobs: LiveQueue, scripts: list[str]) -> None:
    scripts.clear()
    jobs.post(1)
    jobs.post(2)
    assert scripts == ["post", "post"]


def test_a_large_post_is_alone_and_in_its_place(jobs: LiveQueue, scripts: list[str]) -> None:
    scripts.clear()
    post_together(jobs.store, (jobs.queue, [1]), (jobs.queue, ["x" * MAX_RECORDS]), (jobs.queue, [2]))
    assert len(scripts) == 3
    assert jobs.bodies() == [1, "x" * MAX_RECORDS, 2]


def test_where_not_all_fit_those_that_do_are_stored(jobs: LiveQueue) -> None:
    jobs.store.room = Room(messages=3)
    outcomes = post_together(
        jobs.store, (jobs.queue, [1, 2]), (jobs.queue, [3, 4]), (jobs.queue, [5]), (jobs.queue, [6])
    )
    assert [type(outcome) for outcome in outcomes] == [list, QueueFull, list, QueueFull]
    assert jobs.bodies() == [1, 2, 5]


def test_all_are_told_that_the_queue_is_not_here(store: RedisStore) -> None:
    gone = new_queue()
    outcomes = post_together(store, (gone, [1]), (gone, [2]))
    assert [type(outcome) for outcome in outcomes] == [StaleQueue, StaleQueue]


def test_a_message_that_cannot_be_encrypted_costs_only_its_own_post(jobs: LiveQueue) -> None:
    encrypted = replace(jobs.queue, metadata={"_enable_encrypt_messages": True})
    outcomes = post_together(jobs.store, (jobs.queue, [1]), (encrypted, [2]), (jobs.queue, [3]))
    assert [type(outcome) for outcome in outcomes] == [list, EncryptionKeyMissing, list]
    assert jobs.bodies() == [1, 3]

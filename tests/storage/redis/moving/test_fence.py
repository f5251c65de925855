"""The fence, behind which nothing changes while a queue leaves."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from storage.errors import StaleQueue, StoreBusy
from storage.records import NewMessage
from tests.storage.redis.moving.conftest import LONG, TOKEN, Moving, Place, letters
from tests.support.moves import bury, contents, value_of
from tests.support.reactor import run
from tests.support.store import ALICE, LiveQueue, connected_to, text


def start(live: LiveQueue) -> Deferred[list[int]]:
    """A post that is under way."""
    # In a list, as `run` waits for a Deferred.
    started: list[Deferred[list[int]]] = run(
        lambda: [Deferred.fromCoroutine(live.store.post(live.queue, [NewMessage(text("waits"), 60)], ALICE))]
    )
    return started[0]


def test_behind_the_fence_requests_wait_and_none_fails(move: Moving) -> None:
    live = move.live
    live.post("a")
    move.begin()
    move.copy()
    run(move.source.fence, move.queue, TOKEN, LONG)
    before = contents(live.store, live.queue)
    posting = start(live)
    with pytest.raises(TimeoutError):
        run(live.store.stats, live.queue, timeout=0.2)
    assert not posting.called
    assert contents(live.store, live.queue) == before
    run(move.source.fence, move.queue, TOKEN, 0)
    assert len(run(lambda: posting)) == 1
    assert live.bodies() == ["a", "waits"]
    move.catch_up()
    there, here = move.both()
    assert there == here


def test_who_waits_at_the_fence_is_sent_on_when_the_queue_has_left(move: Moving) -> None:
    move.begin()
    move.settle_in()
    posting = start(move.live)
    early = start(move.live.through(move.store))
    assert run(move.source.depart, move.queue, TOKEN, "there")
    with pytest.raises(StaleQueue):
        run(lambda: posting)
    # There they wait too, until it is opened.
    assert not early.called
    run(move.target.open, move.queue, TOKEN)
    run(lambda: early)
    assert move.live.through(move.store).bodies() == ["waits"]


def test_a_fence_ends_by_itself_and_the_queue_stays(move: Moving) -> None:
    move.begin()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0.05)
    move.live.post("waits for the end")
    assert run(move.source.depart, move.queue, TOKEN, "there") is False
    # What has changed since keeps it from leaving under the next one, until it is copied.
    run(move.source.fence, move.queue, TOKEN, LONG)
    assert run(move.source.depart, move.queue, TOKEN, "there") is False
    run(move.source.take, move.queue, TOKEN)
    assert run(move.source.depart, move.queue, TOKEN, "there") is False
    run(move.source.acknowledge, move.queue, TOKEN)
    assert run(move.source.depart, move.queue, TOKEN, "there") is True


def test_what_is_not_noted_keeps_the_queue_too_when_the_fence_has_ended(move: Moving) -> None:
    bury(move.live, 2)
    move.begin()
    move.copy()
    move.catch_up()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0.05)
    letter = letters(move.live)[0]  # as soon as the fence has ended
    run(move.live.store.forget_dead_letter, move.queue, letter)
    assert value_of(move.live.store, move.queue, "noted") is None
    assert run(move.source.depart, move.queue, TOKEN, "there") is False


def test_who_waits_too_long_is_told_so(move: Moving, places: tuple[Place, Place]) -> None:
    move.begin()
    run(move.source.fence, move.queue, TOKEN, LONG)
    with connected_to(places[0].url, timeout=1) as impatient:
        impatient.scripts.clock_offset = move.live.store.scripts.clock_offset
        with pytest.raises(StoreBusy, match="being moved"):
            run(impatient.stats, move.queue)

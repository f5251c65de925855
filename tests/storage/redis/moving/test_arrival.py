"""Where a queue is once it has left, and what it cannot leave or come to."""

from __future__ import annotations

from typing import Any

import pytest

from storage.errors import QueueMoved, StaleQueue
from storage.events import Moved
from storage.redis.events import RedisEvents
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.storage.redis.moving.conftest import OTHER, TOKEN, Moving, Place
from tests.support.moves import contents, fill
from tests.support.reactor import reactor, run, wait_until
from tests.support.store import PATIENCE, connected_to, new_queue


def test_a_queue_that_has_left_says_where_to(move: Moving, places: tuple[Place, Place]) -> None:
    events: list[Any] = []
    listening: list[int] = []
    ears = RedisEvents(reactor, places[0].url, PATIENCE, lambda *told: events.append(told), listening.append)
    run(ears.start)
    run(ears.listen, move.queue)
    wait_until(lambda: listening)
    move.begin()
    move.leave()
    wait_until(lambda: events == [(move.queue.incarnation, Moved("there"))])
    run(ears.stop)
    with pytest.raises(StaleQueue):
        move.live.post("here")
    with pytest.raises(QueueMoved) as told:
        run(move.live.store.create, move.queue)
    assert told.value.pool == "there"
    with pytest.raises(QueueMoved):
        run(move.source.begin, move.queue, OTHER, TOKEN)
    # Asked again, it has left still.
    assert run(move.source.depart, move.queue, TOKEN, "there")
    head = b"zg:{%016x}:head" % move.queue.incarnation
    assert run(move.live.store.client.execute, "TTL", head, key=head) == -1
    run(move.source.forget, move.queue)
    assert run(move.live.store.client.execute, "TTL", head, key=head) == 86400


def test_a_queue_comes_back(move: Moving) -> None:
    fill(move.live)
    before = contents(move.live.store, move.queue)
    move.begin()
    move.copy()
    run(move.source.forget, move.queue)
    there = move.leave()
    run(move.source.forget, move.queue)
    back = Moving(there, move.live.store)
    back.begin()
    back.copy()
    assert contents(back.leave().store, move.queue) == before
    head = b"zg:{%016x}:head" % move.queue.incarnation
    assert run(move.live.store.client.execute, "TTL", head, key=head) == -1


def test_an_arriving_queue_is_not_there_yet(move: Moving) -> None:
    move.begin()
    here = move.live.through(move.store)
    run(move.store.create, move.queue)
    with pytest.raises(StaleQueue):
        here.post("early")
    assert contents(move.store, move.queue).keys() <= {"head"}


def test_a_queue_that_was_deleted_does_not_move(move: Moving) -> None:
    move.begin()
    move.live.post("noted")
    assert run(move.live.store.remove, move.queue)
    for call in (
        lambda: move.source.begin(move.queue, OTHER, TOKEN),
        lambda: move.source.copy(move.queue, TOKEN, "free", "", 0),
        lambda: move.source.depart(move.queue, TOKEN, "there"),
    ):
        with pytest.raises(StaleQueue):
            run(call)
    assert contents(move.live.store, move.queue).keys() == {"head"}


def test_a_store_is_told_from_others(
    stores: tuple[RedisStore, RedisStore], places: tuple[Place, Place]
) -> None:
    assert len({store.identity for store in stores}) == 2
    assert all(len(store.identity) == 32 for store in stores)
    with connected_to(places[0].url) as again:
        assert again.identity == stores[0].identity


def test_a_queue_that_only_the_catalog_has_can_move(stores: tuple[RedisStore, RedisStore]) -> None:
    queue = new_queue()
    moves = RedisMoves(stores[0])
    assert run(moves.begin, queue, TOKEN, b"") == (False, 0)
    assert run(moves.take, queue, TOKEN) == ([], 0)

"""Queues are created, and removed, in the catalog and in the store, whatever comes between the two."""

from __future__ import annotations

import pytest

from storage.base import MessageStore
from storage.errors import NoQueue, StaleQueue, StoreFailed, StoreUnavailable
from storage.records import DeadLetter, Queue
from storage.redis.store import RedisStore
from storage.router import Router
from tests.storage.router.conftest import WatchedCatalog, ensure, free, no_dead_letters, post
from tests.support.reactor import run

# Creating


def test_a_queue_is_created_in_both(router: Router, catalog: WatchedCatalog, store: RedisStore) -> None:
    queue, created = run(router.ensure, "p", "q", {"a": 1})
    assert created
    assert queue.metadata == {"a": 1}
    assert run(catalog.get_queue, "p", "q") == queue
    assert run(free, store, queue) == 0
    assert run(router.ensure, "p", "q", {"b": 1}) == (queue, False)


def test_creating_completes_what_a_crash_left_half_done(
    router: Router, catalog: WatchedCatalog, store: RedisStore
) -> None:
    queue, _ = run(catalog.create_queue, "p", "q", {})
    with pytest.raises(StaleQueue):
        run(free, store, queue)
    assert run(router.ensure, "p", "q") == (queue, False)
    assert run(free, store, queue) == 0


def test_creating_wins_over_a_removal_in_between(
    router: Router, other_node: Router, catalog: WatchedCatalog, store: RedisStore
) -> None:
    old = ensure(other_node)

    async def remove(_: Queue) -> None:
        catalog.after_create = None
        await other_node.remove("p", "q", no_dead_letters)

    catalog.after_create = remove
    new, created = run(router.ensure, "p", "q")
    assert created
    assert new.incarnation != old.incarnation
    assert run(free, store, new) == 0


def test_a_removal_between_the_two_steps_of_creating_leaves_nothing_behind(
    router: Router, other_node: Router, catalog: WatchedCatalog, store: RedisStore
) -> None:
    # The row is there and the store has nothing yet, when somebody removes the queue.
    removed: list[Queue] = []

    async def remove(queue: Queue) -> None:
        catalog.after_create = None
        removed.append(queue)
        await other_node.remove("p", "q", no_dead_letters)

    catalog.after_create = remove
    queue, created = run(router.ensure, "p", "q")
    assert created
    assert run(catalog.get_queue, "p", "q") == queue == router.cached("p", "q")
    with pytest.raises(StaleQueue):
        run(store.create, removed[0])


def test_a_row_of_a_removed_queue_goes_too(
    router: Router, catalog: WatchedCatalog, store: RedisStore
) -> None:
    # A removal got as far as the store, and then its gateway was killed.
    queue = ensure(router)
    assert run(store.remove, queue)
    with pytest.raises(NoQueue):
        run(router.run, "p", "q", free)
    assert run(catalog.get_queue, "p", "q") is None


def test_a_removed_queue_is_created_anew(router: Router, catalog: WatchedCatalog, store: RedisStore) -> None:
    queue = ensure(router)
    assert run(store.remove, queue)
    again, created = run(router.ensure, "p", "q")
    assert created
    assert again.incarnation != queue.incarnation
    assert run(router.run, "p", "q", free) == 0


def test_a_removal_that_the_store_refused_changes_nothing(
    router: Router, catalog: WatchedCatalog, store: RedisStore
) -> None:
    queue = ensure(router)
    run(store.stop)
    with pytest.raises(StoreUnavailable):
        run(router.remove, "p", "q", no_dead_letters)
    assert run(catalog.get_queue, "p", "q") == queue


# Removing


def test_a_removed_queue_is_gone_from_both(
    router: Router, catalog: WatchedCatalog, store: RedisStore
) -> None:
    queue = ensure(router)
    run(router.remove, "p", "q", no_dead_letters)
    assert router.cached("p", "q") is None
    assert run(catalog.get_queue, "p", "q") is None
    with pytest.raises(StaleQueue):
        run(free, store, queue)
    run(router.remove, "p", "q", no_dead_letters)
    assert ensure(router).incarnation != queue.incarnation


def test_a_queue_that_is_known_but_gone_is_forgotten(router: Router, other_node: Router) -> None:
    ensure(router)
    run(other_node.remove, "p", "q", no_dead_letters)
    run(router.remove, "p", "q", no_dead_letters)
    assert router.cached("p", "q") is None


def give_dead_letters(store: RedisStore, queue: Queue) -> None:
    run(post, store, queue)
    claimed = run(store.create_claim, queue, bytes(16), 60, 60, 10, DeadLetter(0, "dead", None))
    assert claimed.dead_lettered == 1


def test_dead_letters_leave_before_the_queue_is_removed(router: Router, store: RedisStore) -> None:
    queue, target = ensure(router), ensure(router, "dead")
    give_dead_letters(store, queue)

    async def drain(store: MessageStore, source: Queue) -> None:
        for waiting in await store.waiting_dead_letters(source, 10):
            await store.deliver_dead_letter(source, waiting, target)
            await store.forget_dead_letter(source, waiting)

    run(router.remove, "p", "q", drain)
    assert run(router.run, "p", "dead", free) == 1
    with pytest.raises(StaleQueue):
        run(store.create, queue)


def test_dead_letters_that_stay_stop_the_removal(router: Router, store: RedisStore) -> None:
    queue = ensure(router)
    give_dead_letters(store, queue)

    async def drain(_store: MessageStore, _queue: Queue) -> None:
        pass

    with pytest.raises(StoreFailed, match="dead letters"):
        run(router.remove, "p", "q", drain)
    assert len(run(store.waiting_dead_letters, queue, 10)) == 1

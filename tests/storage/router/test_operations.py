"""Operations on a queue that is there, is created for them, or has another in its place."""

from __future__ import annotations

import pytest

from storage.base import MessageStore
from storage.errors import NoQueue, StaleQueue, StoreFailed, StoreUnavailable
from storage.records import Queue
from storage.router import Router
from tests.storage.router.conftest import WatchedCatalog, ensure, free, no_dead_letters, post
from tests.support.reactor import run


def test_an_operation_runs_on_the_queue(router: Router) -> None:
    queue = ensure(router)
    assert run(router.run, "p", "q", post) == queue.incarnation
    assert run(router.run, "p", "q", free) == 1
    with pytest.raises(NoQueue):
        run(router.run, "p", "another", free)


def test_an_operation_may_create_its_queue(router: Router, catalog: WatchedCatalog) -> None:
    assert run(router.run, "p", "q", free, create=True) == 0
    assert run(router.run, "p", "q", post, create=True) == run(router.find, "p", "q").incarnation
    assert catalog.look_ups == 0


@pytest.mark.parametrize("create", [False, True])
def test_an_operation_completes_what_a_crash_left_half_done(
    router: Router, catalog: WatchedCatalog, create: bool
) -> None:
    queue, _ = run(catalog.create_queue, "p", "q", {})
    run(router.find, "p", "q")
    assert run(router.run, "p", "q", post, create=create) == queue.incarnation


@pytest.mark.parametrize("create", [False, True])
def test_an_operation_finds_the_queue_that_took_the_others_place(
    router: Router, other_node: Router, create: bool
) -> None:
    old = ensure(router)
    run(router.run, "p", "q", post)
    run(other_node.remove, "p", "q", no_dead_letters)
    new = ensure(other_node)
    assert router.cached("p", "q") == old
    assert run(router.run, "p", "q", free, create=create) == 0
    assert router.cached("p", "q") == new


def test_an_operation_on_a_queue_that_was_removed_elsewhere(router: Router, other_node: Router) -> None:
    for name in ("q", "r"):
        ensure(router, name)
        run(other_node.remove, "p", name, no_dead_letters)
    with pytest.raises(NoQueue):
        run(router.run, "p", "q", free)
    assert run(router.run, "p", "r", free, create=True) == 0


@pytest.mark.parametrize("create", [False, True])
def test_an_operation_is_tried_twice_at_the_most(router: Router, create: bool) -> None:
    ensure(router)
    seen = []

    async def operation(_store: MessageStore, queue: Queue) -> None:
        seen.append(queue)
        raise StaleQueue

    with pytest.raises(StoreFailed, match="removed or moved") as caught:
        run(router.run, "p", "q", operation, create=create)
    assert caught.value.status == 503
    assert len(seen) == 2
    assert router.cached("p", "q") is None


def test_other_errors_of_an_operation_are_its_own(router: Router) -> None:
    ensure(router)

    async def fail(_store: MessageStore, _queue: Queue) -> None:
        raise StoreUnavailable("test")

    with pytest.raises(StoreUnavailable):
        run(router.run, "p", "q", fail)
    assert router.cached("p", "q") is not None

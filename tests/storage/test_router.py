"""The router, between a real catalog (SQLite) and a real store (Valkey)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from protocol.body import Body, Form
from storage import routes
from storage.base import MessageStore
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import CatalogUnavailable, NoQueue, StaleQueue, StoreFailed, StoreUnavailable
from storage.records import DeadLetter, NewMessage, Queue, Stats
from storage.redis.store import RedisStore
from storage.router import Router
from tests.support.reactor import eventually, reactor, run
from tests.support.routing import new_router
from tests.support.servers import Server
from tests.support.store import PATIENCE

CLIENT = bytes(16)


class WatchedCatalog(SQLCatalog):
    """Counts look-ups, and lets something happen right after the database has answered."""

    look_ups = 0
    after_get: Callable[[Queue | None], Awaitable[object]] | None = None
    after_create: Callable[[Queue], Awaitable[object]] | None = None

    async def get_queue(self, project: str, name: str) -> Queue | None:
        self.look_ups += 1
        queue = await super().get_queue(project, name)
        if self.after_get is not None:
            await self.after_get(queue)
        return queue

    async def create_queue(
        self, project: str, name: str, metadata: Mapping[str, Any], most: int = 0
    ) -> tuple[Queue, bool]:
        answer = await super().create_queue(project, name, metadata, most)
        if self.after_create is not None:
            await self.after_create(answer[0])
        return answer


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[WatchedCatalog]:
    catalog = WatchedCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    yield catalog
    run(catalog.stop)


@pytest.fixture
def store(valkey: Server) -> Iterator[RedisStore]:
    store = RedisStore(reactor, valkey.url, PATIENCE)
    run(store.start, 10.0)
    yield store
    run(store.stop)


@pytest.fixture
def router(catalog: SQLCatalog, store: RedisStore) -> Router:
    return new_router(catalog, store)


@pytest.fixture
def other_node(catalog: SQLCatalog, store: RedisStore) -> Router:
    """A router with a cache of its own on the same catalog and store."""
    return new_router(catalog, store)


async def free(store: MessageStore, queue: Queue) -> int:
    """An operation: how many messages are free. It asks the store, so it notices an old route."""
    stats: Stats = await store.stats(queue)
    return stats.free


async def post(store: MessageStore, queue: Queue) -> int:
    await store.post(queue, [NewMessage(Body(Form.JSON, b"1"), 60)], CLIENT)
    return queue.incarnation


async def no_dead_letters(_store: MessageStore, _queue: Queue) -> None:
    raise AssertionError("there are none")


def ensure(router: Router, name: str = "q") -> Queue:
    answer: tuple[Queue, bool] = run(router.ensure, "p", name)
    return answer[0]


# Finding


def test_a_queue_is_looked_up_once(router: Router, other_node: Router, catalog: WatchedCatalog) -> None:
    queue = ensure(other_node)
    assert router.cached("p", "q") is None
    assert run(router.find, "p", "q") == queue
    assert run(router.find, "p", "q") is router.cached("p", "q")
    assert catalog.look_ups == 1


def test_what_does_not_exist_is_looked_up_each_time(router: Router, catalog: WatchedCatalog) -> None:
    for _ in range(2):
        with pytest.raises(NoQueue):
            run(router.find, "p", "q")
    assert catalog.look_ups == 2
    ensure(router)
    run(router.find, "p", "q")


@pytest.mark.parametrize("name", ["", "q q", "q\n", "é", "x" * 65])
def test_an_illegal_name_is_never_looked_up(router: Router, catalog: WatchedCatalog, name: str) -> None:
    with pytest.raises(NoQueue):
        run(router.find, "p", name)
    with pytest.raises(NoQueue):
        run(router.run, "p", name, free)
    with pytest.raises(NoQueue):
        run(router.update, "p", name, dict)
    run(router.remove, "p", name, no_dead_letters)
    assert catalog.look_ups == 0


def test_projects_do_not_share_routes(router: Router) -> None:
    first = run(router.ensure, "a", "b.c")[0]
    second = run(router.ensure, "a.b", "c")[0]
    assert router.cached("a", "b.c") == first
    assert router.cached("a.b", "c") == second
    assert first.incarnation != second.incarnation


def test_those_who_ask_at_once_share_one_look_up(
    router: Router, other_node: Router, catalog: WatchedCatalog
) -> None:
    queue = ensure(other_node)

    async def scenario() -> None:
        finds = [Deferred.fromCoroutine(router.find("p", "q")) for _ in range(10)]
        # Whoever gives up, also the one that came first, takes nothing from the others.
        for each in finds[:2]:
            each.addErrback(lambda failure: failure.trap(CancelledError))
            each.cancel()
        for each in finds[2:]:
            assert await each == queue
        assert catalog.look_ups == 1
        assert router.cached("p", "q") == queue

    run(scenario)


def test_those_who_ask_at_once_share_a_failure_too(
    router: Router, other_node: Router, catalog: WatchedCatalog
) -> None:
    ensure(other_node)

    async def fail(_: object) -> None:
        raise CatalogUnavailable("test")

    async def scenario() -> None:
        catalog.after_get = fail
        finds = [Deferred.fromCoroutine(router.find("p", "q")) for _ in range(3)]
        for each in finds:
            with pytest.raises(CatalogUnavailable):
                await each
        assert catalog.look_ups == 1
        catalog.after_get = None
        await router.find("p", "q")

    run(scenario)


def test_a_known_queue_is_served_while_sql_is_down(router: Router, catalog: WatchedCatalog) -> None:
    ensure(router)
    run(catalog.stop)
    assert run(router.run, "p", "q", free) == 0
    with pytest.raises(CatalogUnavailable):
        run(router.run, "p", "another", free)


# The cache


def test_a_route_that_others_changed_is_found_out_by_comparing(router: Router, other_node: Router) -> None:
    queue = ensure(router)
    same = ensure(router, "same")
    run(other_node.update, "p", "q", lambda _: {"a": 1})
    assert router.cached("p", "q") == queue
    run(router.check)
    assert router.cached("p", "q") is None
    assert router.cached("p", "same") == same
    assert run(router.find, "p", "q").metadata == {"a": 1}


def test_a_removed_queue_is_found_out_by_comparing(router: Router, other_node: Router) -> None:
    ensure(router)
    run(other_node.remove, "p", "q", no_dead_letters)
    run(router.check)
    assert router.cached("p", "q") is None


def test_many_routes_are_compared_in_slices(
    catalog: WatchedCatalog, store: RedisStore, other_node: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_CHECKED_AT_ONCE", 3)
    router = new_router(catalog, store)
    names = [f"q{number}" for number in range(10)]
    for name in names:
        ensure(router, name)
    run(other_node.update, "p", "q9", lambda _: {"a": 1})
    run(router.check)
    assert [name for name in names if router.cached("p", name) is None] == ["q9"]


def test_routes_are_kept_when_the_catalog_cannot_be_asked(router: Router, catalog: WatchedCatalog) -> None:
    queue = ensure(router)
    run(catalog.stop)
    with pytest.raises(CatalogUnavailable):
        run(router.check)
    assert router.cached("p", "q") == queue


def test_every_change_is_announced(catalog: WatchedCatalog, store: RedisStore) -> None:
    told = []

    async def announce(project: str, name: str) -> None:
        told.append((project, name))

    router = new_router(catalog, store, announce=announce)
    ensure(router)
    assert told == []
    run(router.update, "p", "q", lambda _: {"a": 1})
    assert told == [("p", "q")]
    run(router.remove, "p", "q", no_dead_letters)
    assert told == [("p", "q")] * 2


def test_the_route_that_was_not_used_longest_goes_first(catalog: WatchedCatalog, store: RedisStore) -> None:
    router = new_router(catalog, store, max_entries=2)
    ensure(router, "a")
    ensure(router, "b")
    assert router.cached("p", "a")
    ensure(router, "c")
    assert [name for name in "abc" if router.cached("p", name)] == ["a", "c"]


def test_what_was_forgotten_while_it_was_looked_up_is_not_kept(
    router: Router, other_node: Router, catalog: WatchedCatalog
) -> None:
    old = ensure(other_node)
    released: Deferred[None] = Deferred()

    async def wait(_: object) -> None:
        catalog.after_get = None
        await released

    async def scenario() -> None:
        catalog.after_get = wait
        find = Deferred.fromCoroutine(router.find("p", "q"))
        await eventually(lambda: catalog.after_get is None)
        new = await router.update("p", "q", lambda _: {"a": 1})
        assert await router.find("p", "q") == new
        router.forget("p", "q")
        assert await router.find("p", "q") == new
        released.callback(None)
        assert await find == old
        assert router.cached("p", "q") == new

    run(scenario)


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


# Running operations


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


# Metadata


def test_an_update_is_seen_at_once(router: Router, catalog: WatchedCatalog) -> None:
    run(router.ensure, "p", "q", {"a": 1})
    updated = run(router.update, "p", "q", lambda metadata: {**metadata, "b": 2})
    assert updated.metadata == {"a": 1, "b": 2}
    assert router.cached("p", "q") == updated == run(catalog.get_queue, "p", "q")


def test_an_update_needs_a_queue(router: Router) -> None:
    with pytest.raises(NoQueue):
        run(router.update, "p", "q", dict)


def test_an_update_that_is_refused_changes_nothing(router: Router, catalog: WatchedCatalog) -> None:
    queue = ensure(router)

    def refuse(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise LookupError

    with pytest.raises(LookupError):
        run(router.update, "p", "q", refuse)
    assert run(catalog.get_queue, "p", "q") == queue


@pytest.mark.parametrize("others", [3, 1000])
def test_an_update_is_made_again_on_what_others_wrote(
    router: Router, catalog: WatchedCatalog, others: int
) -> None:
    ensure(router)
    left = others

    async def write(queue: Queue | None) -> None:
        nonlocal left
        assert queue is not None
        if left:
            left -= 1
            assert await catalog.update_queue(queue, {**queue.metadata, f"other-{left}": 1})

    catalog.after_get = write
    if others < 10:
        updated = run(router.update, "p", "q", lambda metadata: {**metadata, "own": 1})
        assert updated.metadata == {"other-2": 1, "other-1": 1, "other-0": 1, "own": 1}
        assert updated.serial == 4
    else:
        with pytest.raises(CatalogUnavailable, match="changed by others"):
            run(router.update, "p", "q", lambda metadata: {**metadata, "own": 1})
        assert others - left == 10


def test_an_update_without_an_answer_is_not_hidden_by_the_cache(
    router: Router, catalog: WatchedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(router)
    update = catalog.update_queue

    async def lose_the_answer(queue: Queue, metadata: Mapping[str, Any]) -> bool:
        await update(queue, metadata)
        raise CatalogUnavailable("test")

    monkeypatch.setattr(catalog, "update_queue", lose_the_answer)
    with pytest.raises(CatalogUnavailable):
        run(router.update, "p", "q", lambda _: {"a": 1})
    assert run(router.find, "p", "q").metadata == {"a": 1}


def test_large_metadata_take_the_place_of_others(catalog: WatchedCatalog, store: RedisStore) -> None:
    router = new_router(catalog, store, max_bytes=2500)
    for name in ("one", "two", "three"):
        run(router.ensure, "p", name, {"text": "x" * 1000})
    assert router.cached("p", "one") is None
    assert router.cached("p", "two") is not None
    assert router.cached("p", "three") is not None
    router.forget("p", "two")
    run(router.ensure, "p", "four", {"text": "x" * 1000})
    assert router.cached("p", "three") is not None

"""Where a queue is: looked up once, kept, and compared with what others have changed."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from storage import routes
from storage.errors import CatalogUnavailable, NoQueue
from storage.redis.store import RedisStore
from storage.router import Router
from tests.storage.router.conftest import WatchedCatalog, ensure, free, no_dead_letters
from tests.support.reactor import eventually, run
from tests.support.routing import new_router

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

"""Flavors in the catalog, on each database."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import pytest

from storage.catalog.sql import SQLCatalog
from storage.errors import DoesNotFit, NameTaken, UnknownFlavor, UnknownPool
from storage.pools import Flavor, Pool
from tests.support.reactor import run


@pytest.fixture
def with_pools(catalog: SQLCatalog) -> SQLCatalog:
    for name in ("a", "b", "c"):
        run(catalog.create_pool, Pool(name, f"redis://{name}", 1))
    return catalog


def test_a_flavor_is_found_with_its_pools(with_pools: SQLCatalog) -> None:
    run(with_pools.create_flavor, Flavor("gold", ("c", "a", "c")))
    assert run(with_pools.get_flavor, "gold") == Flavor("gold", ("a", "c"))
    assert run(with_pools.get_flavor, "Gold") is None


def test_a_name_is_taken_only_by_itself(with_pools: SQLCatalog) -> None:
    for name in ("gold", "Gold", "gold "):
        run(with_pools.create_flavor, Flavor(name))
    with pytest.raises(NameTaken, match="gold"):
        run(with_pools.create_flavor, Flavor("gold", ("a",)))
    assert run(with_pools.get_flavor, "gold") == Flavor("gold")


def test_paging_visits_every_flavor_once(with_pools: SQLCatalog) -> None:
    flavors = [Flavor(f"f{number}", ("a", "b", "c")[: number % 4]) for number in range(7)]
    for flavor in flavors:
        run(with_pools.create_flavor, flavor)
    seen: list[Flavor] = []
    while page := run(with_pools.list_flavors, seen[-1].name if seen else "", 3):
        assert len(page) <= 3
        seen += page
    assert seen == flavors


def test_an_update_replaces_the_pools(with_pools: SQLCatalog) -> None:
    run(with_pools.create_flavor, Flavor("gold", ("a", "b")))
    run(with_pools.create_flavor, Flavor("silver", ("a",)))
    run(with_pools.update_flavor, Flavor("gold", ("b", "c")))
    assert run(with_pools.get_flavor, "gold") == Flavor("gold", ("b", "c"))
    assert run(with_pools.get_flavor, "silver") == Flavor("silver", ("a",))


def test_unknown_names_are_told_and_nothing_is_done(with_pools: SQLCatalog) -> None:
    run(with_pools.create_flavor, Flavor("gold", ("a",)))
    with pytest.raises(UnknownPool, match="x, y"):
        run(with_pools.create_flavor, Flavor("silver", ("y", "a", "x")))
    with pytest.raises(UnknownPool, match="x"):
        run(with_pools.update_flavor, Flavor("gold", ("b", "x")))
    for call in (with_pools.delete_flavor, lambda name: with_pools.update_flavor(Flavor(name, ("a",)))):
        with pytest.raises(UnknownFlavor, match="silver"):
            run(call, "silver")
    with pytest.raises(DoesNotFit):
        run(with_pools.create_flavor, Flavor("f" * 65, ("a",)))
    assert run(with_pools.list_flavors, "", 10) == [Flavor("gold", ("a",))]


def test_a_flavor_goes_and_its_pools_stay(with_pools: SQLCatalog) -> None:
    run(with_pools.create_flavor, Flavor("gold", ("a",)))
    run(with_pools.create_queue, "p", "q", {"_flavor": "gold"})
    run(with_pools.delete_flavor, "gold")
    assert run(with_pools.list_flavors, "", 10) == []
    pool = run(with_pools.get_pool, "a")
    assert pool is not None
    assert pool.flavors == ()
    queue = run(with_pools.get_queue, "p", "q")
    assert queue is not None
    assert queue.pool == "a"


def test_of_simultaneous_changes_each_is_whole(make_catalog: Callable[[], SQLCatalog]) -> None:
    nodes = [make_catalog() for _ in range(4)]
    for name in ("a", "b", "c", "d"):
        run(nodes[0].create_pool, Pool(name, "redis://x", 1))
    run(nodes[0].create_flavor, Flavor("gold", ("a",)))
    run(nodes[0].create_flavor, Flavor("silver", ("a",)))
    sets = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]

    def change(number: int) -> None:
        node, pools = nodes[number % 4], sets[number % 4]
        run(node.update_flavor, Flavor("gold", pools))
        run(lambda: node.update_pool(pools[0], flavors=["silver"]))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(change, range(24)))
    run(nodes[0].update_flavor, Flavor("gold", ("b",)))
    assert run(nodes[1].get_flavor, "gold") == Flavor("gold", ("b",))

"""Pools in the catalog, on each database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from storage.catalog import pools
from storage.catalog.sql import SQLCatalog
from storage.errors import (
    CatalogUnavailable,
    DoesNotFit,
    NameTaken,
    PoolInUse,
    UnknownFlavor,
    UnknownPool,
)
from storage.pools import Flavor, Pool
from storage.records import Queue
from tests.support.reactor import run

SSD = Pool("ssd", "redis://:secret@ssd:6379/0", 200, {"retry": {"times": 3}, "größe": "ß"})
DEFAULT = Pool("default", "", 100)


def only_pool(catalog: SQLCatalog, pool: Pool) -> Queue:
    """Add a pool and let it be the only one that takes queues; a queue in it."""
    run(catalog.create_pool, pool)
    run(lambda: catalog.update_pool("default", weight=0))
    queue: Queue = run(catalog.create_queue, "p", "q", {})[0]
    assert queue.pool == pool.name
    return queue


def test_a_pool_is_found_as_it_was_given(catalog: SQLCatalog) -> None:
    run(catalog.create_pool, SSD)
    assert run(catalog.get_pool, "ssd") == SSD
    assert run(catalog.get_pool, "SSD") is None
    assert "secret" not in repr(SSD)


def test_the_default_pool_is_there_and_stays(catalog: SQLCatalog) -> None:
    assert run(catalog.get_pool, "default") == DEFAULT
    with pytest.raises(PoolInUse, match="gateway's own"):
        run(catalog.delete_pool, "default")
    assert run(lambda: catalog.update_pool("default", weight=0)) == replace(DEFAULT, weight=0)


@pytest.mark.parametrize("weight", [0, 2**32 - 1])
def test_weights_have_32_bits(catalog: SQLCatalog, weight: int) -> None:
    run(catalog.create_pool, replace(SSD, weight=weight))
    assert run(catalog.get_pool, "ssd") == replace(SSD, weight=weight)


def test_a_name_is_taken_only_by_itself(catalog: SQLCatalog) -> None:
    names = ["ssd", "SSD", "ssd ", "ßd", "e", "é"]
    for name in names:
        run(catalog.create_pool, replace(SSD, name=name))
    for name in ("ssd", "default"):
        with pytest.raises(NameTaken, match=name):
            run(catalog.create_pool, Pool(name, "redis://other", 1))
    assert run(catalog.get_pool, "ssd") == SSD
    listed = run(catalog.list_pools, "", 100)
    assert [pool.name for pool in listed] == sorted([*names, "default"], key=lambda name: name.encode())


def test_paging_visits_every_pool_once(catalog: SQLCatalog) -> None:
    run(catalog.create_flavor, Flavor("f", ("default",)))
    for number in range(7):
        run(catalog.create_pool, Pool(f"pool-{number}", "redis://x", 1, {}, ("f",) * (number % 2)))
    seen: list[Pool] = []
    while page := run(catalog.list_pools, seen[-1].name if seen else "", 3):
        assert len(page) <= 3
        seen += page
    expected = [replace(DEFAULT, flavors=("f",))]
    expected += [Pool(f"pool-{number}", "redis://x", 1, {}, ("f",) * (number % 2)) for number in range(7)]
    assert seen == expected


@pytest.mark.parametrize(
    "change", [{"uri": "unix:///other"}, {"weight": 0}, {"options": {}}, {"uri": "redis://", "weight": 7}, {}]
)
def test_an_update_changes_what_is_given(catalog: SQLCatalog, change: dict[str, Any]) -> None:
    run(catalog.create_pool, SSD)
    expected = replace(SSD, **change)
    assert run(lambda: catalog.update_pool("ssd", **change)) == expected
    assert run(catalog.get_pool, "ssd") == expected
    assert run(catalog.get_pool, "default") == DEFAULT


def test_a_pool_can_join_and_leave_flavors(catalog: SQLCatalog) -> None:
    for name in ("gold", "silver"):
        run(catalog.create_flavor, Flavor(name, ("default",)))
    run(catalog.create_pool, replace(SSD, flavors=("silver", "gold")))
    assert run(catalog.get_pool, "ssd") == replace(SSD, flavors=("gold", "silver"))
    assert run(catalog.get_flavor, "gold") == Flavor("gold", ("default", "ssd"))
    changed = run(lambda: catalog.update_pool("ssd", flavors=["gold"]))
    assert changed == replace(SSD, flavors=("gold",))
    assert run(lambda: catalog.update_pool("ssd", flavors=[])) == SSD
    assert run(catalog.get_flavor, "gold") == Flavor("gold", ("default",))


def test_an_unknown_flavor_is_named_and_nothing_is_done(catalog: SQLCatalog) -> None:
    run(catalog.create_flavor, Flavor("gold", ()))
    for call in (
        lambda: catalog.create_pool(replace(SSD, flavors=("gold", "bronze"))),
        lambda: catalog.update_pool("default", weight=1, flavors=["bronze"]),
    ):
        with pytest.raises(UnknownFlavor, match="bronze"):
            run(call)
    assert run(catalog.list_pools, "", 10) == [DEFAULT]


def test_an_unknown_pool_is_named(catalog: SQLCatalog) -> None:
    for call in (
        lambda: catalog.update_pool("ssd"),
        lambda: catalog.update_pool("ssd", weight=1),
        lambda: catalog.delete_pool("ssd"),
    ):
        with pytest.raises(UnknownPool, match="ssd"):
            run(call)


def test_what_is_too_long_does_not_fit(catalog: SQLCatalog) -> None:
    with pytest.raises(DoesNotFit):
        run(catalog.create_pool, replace(SSD, name="p" * 65))
    assert run(catalog.list_pools, "", 10) == [DEFAULT]


def test_a_pool_that_nothing_needs_is_removed(catalog: SQLCatalog) -> None:
    run(catalog.create_pool, SSD)
    run(catalog.delete_pool, "ssd")
    assert run(catalog.get_pool, "ssd") is None


def test_a_pool_in_use_stays_and_says_by_what(catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    run(catalog.create_pool, SSD)
    run(catalog.create_flavor, Flavor("gold", ("ssd",)))
    with pytest.raises(PoolInUse, match=r"it is used by flavor gold\.$"):
        run(catalog.delete_pool, "ssd")
    run(catalog.create_queue, "p", "q", {"_flavor": "gold"})
    run(catalog.create_flavor, Flavor("silver", ("ssd", "default")))
    with pytest.raises(PoolInUse, match=r"it is used by 1 queue and by flavors gold, silver\.$"):
        run(catalog.delete_pool, "ssd")
    monkeypatch.setattr(pools, "_COUNTED", 2)
    monkeypatch.setattr(pools, "_NAMED", 1)
    for name in ("r", "s"):
        run(catalog.create_queue, "p", name, {"_flavor": "gold"})
    with pytest.raises(PoolInUse, match=r"used by more than 2 queues and by flavors gold and more\.$"):
        run(catalog.delete_pool, "ssd")
    for queue in run(catalog.list_queues, "p", "", 10):
        run(catalog.delete_queue, queue)
    for name in ("gold", "silver"):
        run(catalog.delete_flavor, name)
    run(catalog.delete_pool, "ssd")


def test_removing_looks_again_when_what_needed_the_pool_has_gone(
    catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = only_pool(catalog, SSD)
    look: Callable[..., str] = pools._users

    def gone_meanwhile(transactions: Any, name: str) -> str:
        from storage.catalog import queues  # noqa: PLC0415

        queues.remove(transactions, queue)
        return look(transactions, name)

    monkeypatch.setattr(pools, "_users", gone_meanwhile)
    run(catalog.delete_pool, "ssd")
    assert run(catalog.get_pool, "ssd") is None


def test_removing_does_not_go_on_for_ever(catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    only_pool(catalog, SSD)
    monkeypatch.setattr(pools, "_users", lambda *_: "")
    with pytest.raises(CatalogUnavailable, match="changed by others"):
        run(catalog.delete_pool, "ssd")


@pytest.mark.parametrize("further", [{}, {"weight": 3}, {"flavors": []}])
def test_a_pool_with_queues_keeps_its_uri(catalog: SQLCatalog, further: dict[str, Any]) -> None:
    queue = only_pool(catalog, SSD)
    with pytest.raises(PoolInUse, match=r"uri of pool ssd .* it has 1 queue\. Create another pool") as caught:
        run(lambda: catalog.update_pool("ssd", uri="redis://other", **further))
    assert "secret" not in str(caught.value)
    assert run(catalog.get_pool, "ssd") == SSD
    assert run(lambda: catalog.update_pool("ssd", uri=SSD.uri, **further)).uri == SSD.uri
    run(catalog.delete_queue, queue)
    assert run(lambda: catalog.update_pool("ssd", uri="redis://other")).uri == "redis://other"

"""Which pool a new queue goes to, on each database."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from storage.catalog.sql import SQLCatalog
from storage.errors import NoPool, PoolInUse, UnknownFlavor
from storage.pools import Flavor, Pool
from storage.records import Queue
from tests.support.reactor import run


def set_up(catalog: SQLCatalog, *flavors: Flavor, **weights: int) -> None:
    """Give the catalog these pools and flavors; the default pool has weight 0 unless it is named."""
    for name, weight in weights.items():
        if name != "default":
            run(catalog.create_pool, Pool(name, f"redis://{name}", weight))
    run(lambda: catalog.update_pool("default", weight=weights.get("default", 0)))
    for flavor in flavors:
        run(catalog.create_flavor, flavor)


def pool_of(catalog: SQLCatalog, name: str, flavor: str | None = None) -> str:
    """The pool of a new queue."""
    answer: tuple[Queue, bool] = run(catalog.create_queue, "p", name, {"_flavor": flavor})
    assert answer[1]
    assert run(catalog.get_queue, "p", name) == answer[0]
    return answer[0].pool


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is drawn at random, in this order; the sums of the weights come in its place."""
    drawn: list[int] = []

    def draw(total: int) -> int:
        drawn.append(total)
        return drawn.pop(0)

    monkeypatch.setattr("storage.catalog.placement.randrange", draw)
    return drawn


def test_without_pools_and_flavors_all_is_as_ever(catalog: SQLCatalog) -> None:
    for number, flavor in enumerate((None, "gold", "", "no name", "\x00", "ü" * 100)):
        assert pool_of(catalog, f"q{number}", flavor) == "default"


def test_weights_decide(catalog: SQLCatalog, numbers: list[int]) -> None:
    set_up(catalog, a=2, b=0, c=2**32 - 1, default=1)
    total = 2 + 2**32
    numbers += [0, 1, 2, total // 2, total - 1]
    chosen = Counter(pool_of(catalog, f"q{number}") for number in range(5))
    assert set(numbers) == {total}
    assert chosen["b"] == 0
    assert chosen["c"] >= 2


def test_over_many_queues_every_pool_with_a_weight_is_used(catalog: SQLCatalog) -> None:
    set_up(catalog, a=1, b=0, c=1)
    # One of the two stays empty once in 2^39 runs.
    assert {pool_of(catalog, f"q{number}") for number in range(40)} == {"a", "c"}


def test_a_flavor_leaves_its_own_pools(catalog: SQLCatalog) -> None:
    set_up(catalog, Flavor("gold", ("b", "c")), Flavor("silver", ("a", "default")), a=1, b=1, c=0)
    for number in range(8):
        assert pool_of(catalog, f"g{number}", "gold") == "b"
        assert pool_of(catalog, f"s{number}", "silver") == "a"
        assert pool_of(catalog, f"q{number}") in ("a", "b")


def test_an_existing_queue_stays_where_it_is(catalog: SQLCatalog) -> None:
    set_up(catalog, Flavor("gold", ("a",)), a=1, b=0)
    queue, _ = run(catalog.create_queue, "p", "q", {})
    assert queue.pool == "a"
    run(lambda: catalog.update_pool("a", weight=0))
    run(lambda: catalog.update_pool("b", weight=1))
    for flavor in (None, "gold", "unknown"):
        assert run(catalog.create_queue, "p", "q", {"_flavor": flavor}) == (queue, False)


def test_no_pool_left_says_why(catalog: SQLCatalog) -> None:
    set_up(catalog, Flavor("empty", ()), Flavor("gold", ("a",)), a=0)
    for flavor, why in (
        (None, "all pools have weight 0"),
        ("gold", "all pools of flavor gold have weight 0"),
        ("empty", "there are no pools of flavor empty"),
    ):
        with pytest.raises(NoPool, match=why):
            run(catalog.create_queue, "p", "q", {"_flavor": flavor})
    assert run(catalog.get_queue, "p", "q") is None


@pytest.mark.parametrize("flavor", ["Gold", "gold ", "", "\x00", "f" * 65, "ü"])
@pytest.mark.parametrize("there_is", ["a flavor", "a pool"])
def test_an_unknown_flavor_is_refused_where_there_are_any(
    catalog: SQLCatalog, flavor: str, there_is: str
) -> None:
    if there_is == "a flavor":
        run(catalog.create_flavor, Flavor("gold", ("default",)))
    else:
        run(catalog.create_pool, Pool("a", "redis://a", 0))
    with pytest.raises(UnknownFlavor, match="There is no flavor"):
        run(catalog.create_queue, "p", "q", {"_flavor": flavor})
    assert run(catalog.get_queue, "p", "q") is None


def test_an_update_may_not_name_an_unknown_flavor_and_moves_nothing(catalog: SQLCatalog) -> None:
    queue, _ = run(catalog.create_queue, "p", "q", {"_flavor": "old"})
    assert run(catalog.update_queue, queue, {"_flavor": "older"})  # nobody has made pools or flavors
    set_up(catalog, Flavor("gold", ("a",)), a=1)
    found = run(catalog.get_queue, "p", "q")
    assert found is not None
    with pytest.raises(UnknownFlavor, match="unknown"):
        run(catalog.update_queue, found, {"_flavor": "unknown"})
    assert run(catalog.get_queue, "p", "q") == found
    for metadata in ({"_flavor": "older", "a": 1}, {"_flavor": "gold"}, {"_flavor": None}, {}):
        assert run(catalog.update_queue, found, metadata)
        found = run(catalog.get_queue, "p", "q")
        assert found is not None
        assert (found.metadata, found.pool) == (metadata, "default")


def test_nodes_that_choose_different_pools_agree_on_one(make_catalog: Callable[[], SQLCatalog]) -> None:
    nodes = [make_catalog() for _ in range(4)]
    set_up(nodes[0], **{f"pool-{number}": 1 for number in range(16)})
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for number in range(10):
            name = f"q{number}"
            answers = list(threads.map(lambda node: run(node.create_queue, "p", name, {}), nodes * 2))  # noqa: B023  # done within the round
            assert len({(queue.incarnation, queue.pool) for queue, _ in answers}) == 1
            assert [created for _, created in answers].count(True) == 1
            assert run(nodes[0].get_queue, "p", name) == answers[0][0]


CREATOR = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from storage.catalog.sql import SQLCatalog

async def main(url):
    catalog = SQLCatalog(reactor, url, timeout=60)
    await catalog.start()
    for number in range(30):
        queue, created = await catalog.create_queue("p", f"q{number}", {})
        print(number, queue.incarnation, queue.pool, created)
    await catalog.stop()

def end(result):
    if result is not None:
        print(result)
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main(*sys.argv[1:])).addBoth(end))
reactor.run()
"""


def test_processes_agree_on_the_pool_of_every_queue(
    make_catalog: Callable[[], SQLCatalog], catalog_url: str
) -> None:
    catalog = make_catalog()
    set_up(catalog, a=1, b=1, c=1)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", CREATOR, catalog_url]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)
    ]
    told = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [len(lines) for lines in told] == [30, 30, 30], told
    for lines in zip(*told, strict=True):
        assert len({line.rpartition(" ")[0] for line in lines}) == 1
        assert sum(line.endswith("True") for line in lines) == 1


def test_a_pool_is_not_removed_under_a_queue_that_is_being_created(
    make_catalog: Callable[[], SQLCatalog],
) -> None:
    nodes = [make_catalog() for _ in range(2)]
    set_up(nodes[0])

    def create(number: int) -> object:
        try:
            return run(nodes[0].create_queue, "p", f"q{number}", {})
        except NoPool as error:
            return error

    def remove(number: int) -> object:
        try:
            return run(nodes[1].delete_pool, f"pool-{number}")
        except PoolInUse as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for number in range(10):
            run(nodes[0].create_pool, Pool(f"pool-{number}", "redis://x", 1))
            created = threads.submit(create, number)
            removed = threads.submit(remove, number)
            assert isinstance(created.result(), NoPool) != isinstance(removed.result(), PoolInUse)
            if isinstance(removed.result(), PoolInUse):
                name = f"pool-{number}"
                run(lambda: nodes[0].update_pool(name, weight=0))  # noqa: B023  # done within the round


def test_a_pool_does_not_get_another_uri_under_a_queue_that_is_being_created(
    make_catalog: Callable[[], SQLCatalog],
) -> None:
    nodes = [make_catalog() for _ in range(2)]
    set_up(nodes[0], a=1)

    def change(number: int) -> object:
        try:
            return run(lambda: nodes[1].update_pool("a", uri=f"redis://{number}"))
        except PoolInUse as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for number in range(10):
            before = run(nodes[0].get_pool, "a")
            created = threads.submit(run, nodes[0].create_queue, "p", f"q{number}", {})
            changed = threads.submit(change, number)
            queue, _ = created.result()
            assert before is not None
            after = run(nodes[0].get_pool, "a")
            assert after is not None
            # Either the queue was there first, or the change was; never both at once.
            assert isinstance(changed.result(), PoolInUse) == (after.uri == before.uri)
            with pytest.raises(PoolInUse):
                run(lambda: nodes[0].update_pool("a", uri="redis://another"))
            run(nodes[0].delete_queue, queue)

"""Queues in the catalog, on each database."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from storage.catalog import queues
from storage.catalog.sql import SQLCatalog
from storage.errors import CatalogUnavailable
from storage.records import Queue
from tests.support.reactor import run

MakeCatalog = Callable[..., SQLCatalog]


def create(catalog: SQLCatalog, project: str, name: str, metadata: Mapping[str, Any] | None = None) -> Queue:
    answer: tuple[Queue, bool] = run(catalog.create_queue, project, name, metadata or {})
    assert answer[1]
    return answer[0]


def test_a_queue_is_created_once_and_found(catalog: SQLCatalog) -> None:
    metadata = {"_default_message_ttl": 300, "wörter": ["\N{GRINNING FACE}", None, 1.5, 2**63], "o": {"": {}}}
    queue, created = run(catalog.create_queue, "p", "q", metadata)
    assert created
    assert (queue.project, queue.name, queue.metadata, queue.serial) == ("p", "q", metadata, 0)
    assert 0 <= queue.incarnation < 2**62
    assert run(catalog.get_queue, "p", "q") == queue
    assert run(catalog.create_queue, "p", "q", {"other": 1}) == (queue, False)


def test_what_does_not_exist_is_none(catalog: SQLCatalog) -> None:
    create(catalog, "p", "q")
    assert run(catalog.get_queue, "p", "other") is None
    assert run(catalog.get_queue, "other", "q") is None


NAMES = [
    "q",
    "Q",
    "q ",
    " q",
    "q.",
    "q..",
    "é",
    "e",
    "e\N{COMBINING ACUTE ACCENT}",
    "ß",
    "ss",
    "a",
    "q\n",
]


def test_names_are_compared_and_ordered_byte_by_byte(catalog: SQLCatalog) -> None:
    incarnations = {create(catalog, "p", name).incarnation for name in NAMES}
    assert len(incarnations) == len(NAMES)
    listed = run(catalog.list_queues, "p", "", 100)
    assert [queue.name for queue in listed] == sorted(NAMES, key=lambda name: name.encode())
    for name in NAMES:
        found = run(catalog.get_queue, "p", name)
        assert found is not None
        assert found.name == name


def test_projects_and_names_are_not_glued_together(catalog: SQLCatalog) -> None:
    create(catalog, "a", "b.c")
    create(catalog, "a.b", "c")
    create(catalog, "A", "b.c")
    assert [queue.name for queue in run(catalog.list_queues, "a.b", "", 10)] == ["c"]


def test_paging_visits_every_queue_once(catalog: SQLCatalog) -> None:
    names = [f"queue-{number}" for number in range(25)]
    for name in names:
        create(catalog, "p", name)
    create(catalog, "another", "queue-0")
    seen: list[str] = []
    while page := run(catalog.list_queues, "p", seen[-1] if seen else "", 10):
        assert len(page) <= 10
        seen += [queue.name for queue in page]
    assert seen == sorted(names)
    assert [run(catalog.count_queues, project) for project in ("p", "another", "none")] == [25, 1, 0]


def test_housekeeping_visits_the_queues_of_all_projects_once(catalog: SQLCatalog) -> None:
    created = [create(catalog, f"p{number % 3}", f"q{number}") for number in range(11)]
    seen: list[Queue] = []
    while page := run(catalog.all_queues, seen[-1].incarnation if seen else -1, 4):
        seen += page
    assert seen == sorted(created, key=lambda queue: queue.incarnation)


def test_an_update_counts_only_against_what_was_read(catalog: SQLCatalog) -> None:
    read = create(catalog, "p", "q", {"a": 1})
    assert run(catalog.update_queue, read, {"a": 2})
    assert not run(catalog.update_queue, read, {"a": 3})
    now = run(catalog.get_queue, "p", "q")
    assert now is not None
    assert (now.metadata, now.serial, now.incarnation) == ({"a": 2}, 1, read.incarnation)
    assert run(catalog.update_queue, now, {"a": 1})
    # The metadata are those that `read` had, but they have changed twice since.
    assert not run(catalog.update_queue, read, {"a": 4})


def test_of_simultaneous_updates_none_is_lost(make_catalog: MakeCatalog) -> None:
    catalogs = [make_catalog() for _ in range(4)]
    create(catalogs[0], "p", "q", {"count": 0})

    def count(catalog: SQLCatalog) -> None:
        while True:
            queue = run(catalog.get_queue, "p", "q")
            assert queue is not None
            if run(catalog.update_queue, queue, {"count": queue.metadata["count"] + 1}):
                return

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(count, catalogs * 4))
    found = run(catalogs[0].get_queue, "p", "q")
    assert found is not None
    assert found.metadata == {"count": 16}


def test_deleting_an_old_incarnation_leaves_the_new_one(catalog: SQLCatalog) -> None:
    old = create(catalog, "p", "q")
    run(catalog.delete_queue, old)
    assert run(catalog.get_queue, "p", "q") is None
    new = create(catalog, "p", "q")
    assert new.incarnation != old.incarnation
    run(catalog.delete_queue, old)
    assert not run(catalog.update_queue, old, {"a": 1})
    assert run(catalog.get_queue, "p", "q") == new


@pytest.mark.parametrize("value", [float("nan"), b"bytes"])
def test_metadata_that_are_no_json_are_a_mistake_of_the_caller(catalog: SQLCatalog, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        run(catalog.create_queue, "p", "q", {"a": value})
    assert run(catalog.get_queue, "p", "q") is None


# Races of creators


def test_sixteen_creators_agree_on_one_queue(make_catalog: MakeCatalog) -> None:
    # Each catalog has a thread and connections of its own, as other gateways would.
    catalogs = [make_catalog() for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for number in range(10):
            name = f"q{number}"
            answers = list(threads.map(lambda c: run(c.create_queue, "p", name, {}), catalogs * 4))  # noqa: B023  # done within the round
            assert len({queue.incarnation for queue, _ in answers}) == 1
            assert [created for _, created in answers].count(True) == 1


def test_coroutines_of_one_catalog_agree_on_one_queue(catalog: SQLCatalog) -> None:
    async def race() -> list[tuple[Queue, bool]]:
        started = [Deferred.fromCoroutine(catalog.create_queue("p", "q", {"n": n})) for n in range(16)]
        return [await deferred for deferred in started]

    answers = run(race)
    assert [created for _, created in answers].count(True) == 1
    assert len({(queue.incarnation, queue.metadata["n"]) for queue, _ in answers}) == 1


def test_an_incarnation_that_is_taken_is_drawn_again(
    catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = create(catalog, "p", "q").incarnation
    numbers = iter([taken, taken, 5])
    monkeypatch.setattr(queues, "new_incarnation", lambda: next(numbers))
    assert create(catalog, "p", "r").incarnation == 5


def test_creating_does_not_go_on_for_ever(catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = create(catalog, "p", "q").incarnation
    monkeypatch.setattr(queues, "new_incarnation", lambda: taken)
    with pytest.raises(CatalogUnavailable, match="created and deleted by others"):
        run(catalog.create_queue, "p", "r", {})

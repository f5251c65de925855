"""Metadata are updated on what others wrote, and seen at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from storage.errors import CatalogUnavailable, NoQueue
from storage.records import Queue
from storage.redis.store import RedisStore
from storage.router import Router
from tests.storage.router.conftest import WatchedCatalog, ensure
from tests.support.reactor import run
from tests.support.routing import new_router


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

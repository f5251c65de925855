"""What is taken out of the search for garbage, when, and that garbage is found all the same."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from gateway import garbage
from gateway.garbage import INTERVAL, ROUNDS, YOUNG, Searches


class Cycle:
    """Only a search for garbage can free it."""

    def __init__(self) -> None:
        self.itself = self


class Watched:
    """Searches that have started, the generations that were searched, and the clock that they go by."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.generations: list[int] = []
        self._searches = Searches(self.clock)
        gc.callbacks.append(self._note)
        self._searches.start()

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            self.generations.append(info["generation"])

    def stop(self) -> None:
        self._searches.stop()
        gc.callbacks.remove(self._note)


def is_searched(thing: object) -> bool:
    """Whether a search for garbage would look at it."""
    return any(each is thing for each in gc.get_objects())


@pytest.fixture
def searches() -> Iterator[Watched]:
    """Afterwards Python's search is as it was."""
    thresholds = gc.get_threshold()
    watched = Watched()
    yield watched
    watched.stop()
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_is_there_after_the_start_stays_and_is_not_searched(searches: Watched) -> None:
    assert gc.get_freeze_count() > 10_000
    # A search of everything would hold up whoever connects first.
    assert 2 not in searches.generations


def test_however_much_comes_each_search_is_of_little(searches: Watched) -> None:
    before = gc.get_freeze_count()
    kept = []
    for number in range(20 * ROUNDS * YOUNG):
        kept.append([number])
        if number % YOUNG == 0:
            assert len(gc.get_objects()) < (ROUNDS + 3) * YOUNG
    assert searches.generations.count(0) > ROUNDS
    assert gc.get_freeze_count() > before + 15 * ROUNDS * YOUNG


def test_garbage_in_cycles_is_found(searches: Watched) -> None:
    gone = [weakref.ref(Cycle()) for _ in range(10 * ROUNDS * YOUNG)]
    assert sum(each() is not None for each in gone) < (ROUNDS + 3) * YOUNG


def test_what_becomes_garbage_later_is_found_when_memory_has_grown(
    searches: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "GROWTH", 1.05)
    cycle, kept = Cycle(), Cycle()
    gone = weakref.ref(cycle)
    gc.collect(1)  # takes them out
    assert not is_searched(kept)
    del cycle
    gc.collect(1)
    searches.clock.advance(INTERVAL)
    assert gone() is not None
    grown = [bytes(100) for _ in range(sys.getallocatedblocks() // 10)]
    assert gone() is not None
    searches.clock.advance(INTERVAL)
    assert gone() is None
    assert not is_searched(kept)  # what lives on is taken out again
    searched = len(searches.generations)
    searches.clock.advance(INTERVAL)
    assert len(searches.generations) == searched
    del grown

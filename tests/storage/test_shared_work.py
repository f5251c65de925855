"""Work that several wait for is done once."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from storage.shared_work import SharedWork
from tests.support.reactor import run


class Work:
    """Work on `key` whose end the test decides."""

    def __init__(self) -> None:
        self.shared: SharedWork[str, int] = SharedWork()
        self.begun: list[Deferred[int]] = []
        self.kept: list[int] = []

    async def _do(self) -> int:
        end: Deferred[int] = Deferred()
        self.begun.append(end)
        return await end

    def join(self) -> Deferred[int]:
        return self.shared.join("key", self._do, self.kept.append)


def test_all_who_wait_get_one_result_which_is_kept() -> None:
    async def scenario() -> None:
        work = Work()
        first, second = work.join(), work.join()
        (end,) = work.begun
        end.callback(7)
        assert [await first, await second] == [7, 7]
        assert work.kept == [7]

    run(scenario)


def test_a_failure_is_told_to_all_and_not_kept() -> None:
    async def scenario() -> None:
        work = Work()
        answers = [work.join(), work.join()]
        work.begun[0].errback(ValueError("no"))
        for answer in answers:
            with pytest.raises(ValueError, match="no"):
                await answer
        assert work.kept == []
        work.join().addErrback(lambda _: None)
        assert len(work.begun) == 2

    run(scenario)


def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    async def scenario() -> None:
        work = Work()
        first, second = work.join(), work.join()
        first.cancel()
        with pytest.raises(CancelledError):
            await first
        work.begun[0].callback(7)
        assert await second == 7

    run(scenario)


def test_what_was_forgotten_is_told_but_not_kept_and_begun_anew() -> None:
    async def scenario() -> None:
        work = Work()
        old = work.join()
        work.shared.forget("key")
        new = work.join()
        work.begun[0].callback(1)
        assert await old == 1
        assert work.kept == []
        work.begun[1].callback(2)
        assert await new == 2
        assert work.kept == [2]

    run(scenario)

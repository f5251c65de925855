"""Turns at endpoints: how many, whose, and what becomes of endpoints that fail."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.delivery import endpoints as module
from gateway.delivery.endpoints import FAILURES, Endpoints, Turn
from gateway.delivery.sender import Endpoint

A, B, C = (Endpoint("http", name, 80) for name in "abc")


def took(waiting: Deferred[Turn]) -> Turn | None:
    """The turn, if it was given."""
    return waiting.result if waiting.called and isinstance(waiting.result, Turn) else None


def count(waiting: list[Deferred[Turn]]) -> int:
    return sum(took(each) is not None for each in waiting)


def test_so_many_turns_for_each_endpoint_and_in_all() -> None:
    endpoints = Endpoints(Clock(), 2, 5)
    turns = {each: [endpoints.turn("p", each) for _ in range(3)] for each in (A, B, C)}
    assert [count(waiting) for waiting in turns.values()] == [2, 2, 1]
    assert endpoints.count == 3
    first = took(turns[A][0])
    assert first is not None
    first.end()
    first.end()  # once more does nothing
    # It goes to the endpoint that has fewer.
    assert [count(waiting) for waiting in turns.values()] == [2, 2, 2]


def test_first_come_first_served() -> None:
    endpoints = Endpoints(Clock(), 1, 5)
    waiting = [endpoints.turn("p", A) for _ in range(4)]
    waiting[2].addErrback(lambda _: None).cancel()
    for number in (0, 1, 3):
        turn = took(waiting[number])
        assert turn is not None
        assert count(waiting) == [1, 2, 2, 3][number]
        turn.end()
    assert endpoints.count == 0


def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    endpoints = Endpoints(Clock(), 1, 1)
    turn = took(endpoints.turn("p", A))
    assert turn is not None
    assert endpoints.count == 1
    other = endpoints.turn("p", B).addErrback(lambda _: None)
    assert endpoints.count == 2
    other.cancel()
    assert endpoints.count == 1
    turn.end()
    assert endpoints.count == 0


def fail(endpoints: Endpoints, times: int) -> None:
    for _ in range(times):
        turn = took(endpoints.turn("p", A))
        assert turn is not None
        turn.failed()
        turn.end()


def test_an_endpoint_that_fails_is_left_alone() -> None:
    clock = Clock()
    endpoints = Endpoints(clock, 3, 5)
    fail(endpoints, FAILURES - 1)
    assert endpoints.open_circuits == 0
    fail(endpoints, 1)
    assert endpoints.open_circuits == 1
    for pause in (5, 10, 20, 40, 60, 60):
        waiting = [endpoints.turn("p", A) for _ in range(3)]
        clock.advance(pause - 0.01)
        assert count(waiting) == 0
        clock.advance(0.02)
        assert count(waiting) == 1  # one tries, the others wait
        other = took(endpoints.turn("p", B))
        assert other is not None  # another endpoint is as it was
        other.end()
        turn = took(waiting[0])
        assert turn is not None
        turn.failed()
        turn.end()
        assert count(waiting) == 1
        for each in waiting[1:]:
            each.addErrback(lambda _: None).cancel()


def test_one_success_is_enough() -> None:
    clock = Clock()
    endpoints = Endpoints(clock, 3, 5)
    fail(endpoints, FAILURES)
    waiting = [endpoints.turn("p", A) for _ in range(3)]
    clock.advance(5)
    turn = took(waiting[0])
    assert turn is not None
    turn.succeeded()
    assert count(waiting) == 3
    assert endpoints.open_circuits == 0
    fail_one = took(waiting[1])
    assert fail_one is not None
    fail_one.failed()
    assert endpoints.open_circuits == 0


def test_a_success_in_between_counts() -> None:
    endpoints = Endpoints(Clock(), 3, 5)
    for _ in range(3):
        fail(endpoints, FAILURES - 1)
        turn = took(endpoints.turn("p", A))
        assert turn is not None
        turn.succeeded()
        turn.end()
    assert endpoints.open_circuits == 0
    assert endpoints.count == 0


def test_failures_of_many_endpoints_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    clock = Clock()
    endpoints = Endpoints(clock, 1, 10)
    fail(endpoints, FAILURES)
    for number in range(5):
        turn = took(endpoints.turn("p", Endpoint("http", "other", number)))
        assert turn is not None
        turn.failed()
        turn.end()
    assert len(endpoints._servers) <= 4
    assert endpoints.open_circuits == 0
    assert not clock.getDelayedCalls()


def test_a_project_that_waits_for_much_holds_up_no_other() -> None:
    endpoints = Endpoints(Clock(), 2, 4)
    slow = [endpoints.turn("p", Endpoint("http", "slow", number)) for number in range(10)]
    assert count(slow) == 4
    other = endpoints.turn("q", A)
    turn = took(slow[0])
    assert turn is not None
    turn.end()
    assert took(other) is not None
    assert count(slow) == 4


def test_what_a_server_refuses_to_one_project_it_may_take_from_another() -> None:
    endpoints = Endpoints(Clock(), 2, 4)
    fail(endpoints, FAILURES)
    assert took(endpoints.turn("p", A)) is None
    assert took(endpoints.turn("q", A)) is not None


TARGETS = (("p", A), ("p", B), ("q", A))


class Turns(RuleBasedStateMachine):
    """Whatever happens in whatever order: bounds hold, nobody waits who could go."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.endpoints = Endpoints(self.clock, 2, 4)
        self.waiting: list[tuple[tuple[str, Endpoint], Deferred[Turn]]] = []
        self.turns: list[tuple[tuple[str, Endpoint], Turn]] = []

    @rule(endpoint=st.sampled_from(TARGETS))
    def come(self, endpoint: tuple[str, Endpoint]) -> None:
        waiting = self.endpoints.turn(*endpoint)
        waiting.addErrback(lambda _: None)
        self.waiting.append((endpoint, waiting))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.waiting) - 1))
        self.waiting.pop(number)[1].cancel()

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), outcome=st.sampled_from([True, False, False, None]), ends=st.booleans())
    def use(self, data: st.DataObject, outcome: bool | None, ends: bool) -> None:
        number = data.draw(st.integers(0, len(self.turns) - 1))
        turn = self.turns[number][1]
        if outcome is not None:
            (turn.succeeded if outcome else turn.failed)()
        if ends:
            del self.turns[number]
            turn.end()

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def later(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def bounds(self) -> None:
        left = []
        for endpoint, waiting in self.waiting:
            turn = took(waiting)
            if turn is None:
                left.append((endpoint, waiting))
            else:
                self.turns.append((endpoint, turn))
        self.waiting = left
        mine = {each: sum(endpoint == each for endpoint, _ in self.turns) for each in TARGETS}
        assert all(number <= 2 for number in mine.values())
        assert len(self.turns) <= 4
        assert self.endpoints.count == len({endpoint for endpoint, _ in self.turns + self.waiting})
        for endpoint, _ in self.waiting:
            server = self.endpoints._servers[endpoint]
            assert len(self.turns) == 4 or mine[endpoint] == 2 or server.pause

    def teardown(self) -> None:
        """Once all answer, everybody has a turn."""
        for _ in range(1000):
            if not self.turns and not self.waiting:
                break
            self.clock.advance(60)
            self.bounds()
            for _, turn in self.turns:
                turn.succeeded()
                turn.end()
            self.turns = []
        assert not self.waiting
        assert self.endpoints.count == 0
        assert not self.clock.getDelayedCalls()


TestTurns = Turns.TestCase

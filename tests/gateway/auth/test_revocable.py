"""Answers about tokens: kept for a while, asked for again while somebody holds them, revoked in time."""

from __future__ import annotations

from collections import Counter
from time import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gateway.auth import revocable
from gateway.auth.identity import Identity
from gateway.auth.revocable import REFUSED_SECONDS, RETRY, RevocableTokens
from protocol.errors import AuthenticationFailed, Unavailable

SECONDS = 60.0
ADA = Identity("one", "ada", frozenset({"member"}), None)


class Source:
    """Answers what the test says: by token an identity, an error, or nothing yet."""

    def __init__(self) -> None:
        self.answers: dict[str, Identity | Exception | Deferred[Identity]] = {}
        self.asked: Counter[str] = Counter()
        self.stopped = False

    async def identify(self, token: str) -> Identity:
        self.asked[token] += 1
        answer = self.answers.get(token, ADA)
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer

    async def stop(self) -> None:
        self.stopped = True


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.source = Source()
        self.tokens = RevocableTokens(self.clock, self.source, SECONDS)
        self.ended: list[str] = []

    def ask(self, token: str = "t") -> Deferred[Identity]:
        return Deferred.fromCoroutine(self.tokens.identify(token))

    def identify(self, token: str = "t") -> Identity:
        identity: Identity = found(self.ask(token))
        return identity

    def hold(self, token: str = "t", name: str = "a") -> Any:
        grant = self.identify(token).grant
        assert grant is not None

        def ended() -> None:
            self.ended.append(name)

        grant.hold(ended)
        return lambda: grant.release(ended)


def found(deferred: Deferred[Any]) -> Any:
    """The result of what has ended already; what it raised is raised."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "no answer yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@pytest.fixture
def world() -> World:
    return World()


def test_answer_holds_for_its_time(world: World) -> None:
    assert world.identify() == ADA
    world.clock.advance(SECONDS - 1)
    assert world.identify() == ADA
    assert world.source.asked["t"] == 1
    world.clock.advance(1)
    world.source.answers["t"] = AuthenticationFailed()
    with pytest.raises(AuthenticationFailed):
        world.identify()


def test_those_who_ask_at_once_share_one_answer(world: World) -> None:
    pending = world.source.answers["t"] = Deferred()
    asked = [world.ask() for _ in range(5)]
    other = world.ask("u")
    assert found(other) == ADA
    pending.callback(ADA)
    assert [found(each) for each in asked] == [ADA] * 5
    assert world.source.asked == {"t": 1, "u": 1}


def test_those_who_ask_at_once_share_one_refusal(world: World) -> None:
    pending = world.source.answers["t"] = Deferred()
    asked = [world.ask() for _ in range(3)]
    pending.errback(AuthenticationFailed())
    for each in asked:
        with pytest.raises(AuthenticationFailed):
            found(each)
    assert world.source.asked["t"] == 1


def test_refusal_is_known_for_a_moment(world: World) -> None:
    world.source.answers["t"] = AuthenticationFailed()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            world.identify()
    assert world.source.asked["t"] == 1
    del world.source.answers["t"]
    world.clock.advance(REFUSED_SECONDS)
    assert world.identify() == ADA


def test_no_answer_is_not_kept(world: World) -> None:
    world.source.answers["t"] = Unavailable("away")
    for _ in range(2):
        with pytest.raises(Unavailable):
            world.identify()
    assert world.source.asked["t"] == 2


def test_expired_token_speaks_for_nobody_although_its_answer_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.source.answers["t"] = Identity("one", "ada", expires=time() + 10)
    world.identify()
    monkeypatch.setattr(revocable, "time", lambda: time() + 10)
    with pytest.raises(AuthenticationFailed):
        world.identify()


def test_what_is_kept_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocable, "MAX_KNOWN", 2)
    monkeypatch.setattr(revocable, "MAX_REFUSED", 2)
    for token in "abc":
        world.identify(token)
        world.source.answers["no" + token] = AuthenticationFailed()
        with pytest.raises(AuthenticationFailed):
            world.identify("no" + token)
    world.identify("c")
    world.identify("a")
    assert world.source.asked["c"] == 1
    assert world.source.asked["a"] == 2
    for token in ("noc", "noa"):
        with pytest.raises(AuthenticationFailed):
            world.identify(token)
    assert world.source.asked["noc"] == 1
    assert world.source.asked["noa"] == 2


def test_holders_of_a_revoked_token_are_told_in_time_and_once(world: World) -> None:
    world.hold(name="a")
    world.clock.advance(40)  # another socket, with the answer that is kept
    world.hold(name="b")
    world.source.answers["t"] = AuthenticationFailed()
    assert world.ended == []
    world.clock.advance(SECONDS)
    assert world.ended == ["a", "b"]
    world.clock.pump([10] * 20)
    assert world.ended == ["a", "b"]
    assert not world.clock.getDelayedCalls()


def test_held_token_is_asked_about_as_long_as_it_is_held(world: World) -> None:
    release = world.hold()
    world.clock.pump([5] * 60)
    asked = world.source.asked["t"]
    assert 5 <= asked <= 8
    assert world.ended == []
    world.identify()  # the answer in the background counts for those who come too
    assert world.source.asked["t"] == asked
    release()
    world.clock.pump([5] * 60)
    assert world.source.asked["t"] == asked
    assert not world.clock.getDelayedCalls()


def test_token_that_is_held_no_more_ends_nobody(world: World) -> None:
    world.hold(name="a")()
    world.source.answers["t"] = AuthenticationFailed()
    world.clock.pump([5] * 60)
    assert world.ended == []


def test_nobody_answering_changes_nothing(world: World) -> None:
    world.hold()
    world.source.answers["t"] = Unavailable("away")
    world.clock.pump([1] * 300)
    assert world.ended == []
    assert world.source.asked["t"] <= 2 + 300 / RETRY
    world.source.answers["t"] = AuthenticationFailed()
    world.clock.pump([1] * int(RETRY))
    assert world.ended == ["a"]


def test_fault_in_the_source_changes_nothing(world: World) -> None:
    world.hold()
    world.source.answers["t"] = RuntimeError("broken")
    world.clock.pump([1] * 100)
    assert world.ended == []
    world.source.answers["t"] = AuthenticationFailed()
    world.clock.pump([1] * int(RETRY))
    assert world.ended == ["a"]


@pytest.mark.parametrize(
    "other", [Identity("two", "ada", ADA.roles), Identity("one", "ada", frozenset()), Identity("one", "bob")]
)
def test_token_that_means_something_else_now_is_revoked(world: World, other: Identity) -> None:
    world.hold()
    world.source.answers["t"] = other
    world.clock.advance(SECONDS)
    assert world.ended == ["a"]
    assert world.identify() == other


def test_refusal_on_the_way_in_tells_holders(world: World) -> None:
    world.hold()
    world.source.answers["t"] = Unavailable("away")
    world.clock.advance(SECONDS)
    world.source.answers["t"] = AuthenticationFailed()
    with pytest.raises(AuthenticationFailed):
        world.identify()
    assert world.ended == ["a"]


def test_few_are_asked_about_at_once(world: World) -> None:
    pending: dict[str, Deferred[Identity]] = {}
    for number in range(20):
        token = str(number)
        world.hold(token, name=token)
        pending[token] = world.source.answers[token] = Deferred()
    world.clock.advance(SECONDS)
    for _ in range(20):
        running = [token for token in pending if world.source.asked[token] == 2 and not pending[token].called]
        assert len(running) <= revocable.AT_ONCE
        pending[running[0]].errback(AuthenticationFailed())
    assert sorted(world.ended, key=int) == [str(number) for number in range(20)]


def test_revoked_while_somebody_is_about_to_hold_it(world: World) -> None:
    grant = world.identify().grant
    assert grant is not None
    world.hold(name="a")
    world.source.answers["t"] = AuthenticationFailed()
    world.clock.advance(SECONDS)
    grant.hold(lambda: world.ended.append("late"))
    assert world.ended == ["a", "late"]


def test_nothing_goes_on_after_the_stop(world: World) -> None:
    world.hold()
    found(Deferred.fromCoroutine(world.tokens.stop()))
    world.hold("u")
    assert not world.clock.getDelayedCalls()
    assert world.source.stopped


def test_who_comes_back_again_and_again_is_one_question(world: World) -> None:
    for _ in range(20):
        release = world.hold()
        world.clock.advance(1)
        release()
    world.hold()
    world.clock.advance(10 * SECONDS)
    world.source.asked.clear()
    for _ in range(10):
        world.clock.advance(SECONDS)
    assert world.source.asked["t"] <= 14  # one in three quarters of the time for which an answer holds


def test_who_comes_back_while_the_token_is_looked_at_is_one_question(world: World) -> None:
    release = world.hold()
    pending = world.source.answers["t"] = Deferred()
    world.clock.advance(SECONDS * revocable.SHARE)
    release()
    world.hold()
    pending.callback(ADA)
    del world.source.answers["t"]
    assert world.source.asked["t"] == 2
    for asked in (3, 4):
        world.clock.advance(SECONDS * revocable.SHARE)
        assert world.source.asked["t"] == asked

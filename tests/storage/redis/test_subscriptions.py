"""Subscriptions: unique by subscriber, gone with their time (docs/compatibility.md, 15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from storage.errors import StoreBusy
from storage.records import Subscription
from tests.support.reactor import run
from tests.support.store import SECOND, LiveQueue


class Subscribers:
    """The subscriptions of a queue, called one after the other."""

    def __init__(self, jobs: LiveQueue) -> None:
        self.jobs = jobs
        self._of = (jobs.store, jobs.queue)

    def add(
        self, subscriber: str, ttl: int = 60, options: Mapping[str, Any] | None = None, confirmed: bool = True
    ) -> int | None:
        store, queue = self._of
        made = run(lambda: store.subscribe(queue, subscriber, ttl, options or {}, confirmed=confirmed))
        return None if made is None else made.sequence

    def new(self, subscriber: str, ttl: int = 60) -> int:
        """One that has to succeed."""
        sequence = self.add(subscriber, ttl)
        assert sequence is not None
        return sequence

    def all(self, after: int = 0, limit: int = 1000) -> list[Subscription]:
        store, queue = self._of
        return run(store.list_subscriptions, queue, after, limit)

    def names(self, after: int = 0, limit: int = 1000) -> list[str]:
        return [each.subscriber for each in self.all(after, limit)]

    def get(self, sequence: int) -> Subscription | None:
        store, queue = self._of
        return run(store.get_subscription, queue, sequence)

    def update(self, sequence: int, **changes: Any) -> bool | None:
        store, queue = self._of
        return run(lambda: store.update_subscription(queue, sequence, **changes))

    def drop(self, sequence: int) -> None:
        store, queue = self._of
        run(store.unsubscribe, queue, sequence)


@pytest.fixture
def subscribers(jobs: LiveQueue) -> Subscribers:
    return Subscribers(jobs)


def nested(depth: int) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = [value]
    return value


def test_a_subscriber_is_found_until_its_time_is_over(subscribers: Subscribers) -> None:
    store, queue = subscribers.jobs.store, subscribers.jobs.queue
    sequence = subscribers.add("http://a/", 60, {"x": 1}, confirmed=False)
    assert sequence is not None
    assert subscribers.update(sequence, confirmed=True) is True
    found = run(store.find_subscription, queue, "http://a/")
    assert found == Subscription(sequence, "http://a/", 60, 0, {"x": 1}, confirmed=True)
    assert run(store.find_subscription, queue, "http://b/") is None
    subscribers.jobs.advance(60)
    assert run(store.find_subscription, queue, "http://a/") is None


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_subscription_is_told_as_it_was_made(subscribers: Subscribers, confirmed: bool) -> None:
    options = {"ä": [1, None, 2**64 - 1, -(2**63), 1.5], "deep": nested(98), "": {"x" * 300: b"\xff"}}
    sequence = subscribers.add("http://example.org/?ä", 90, options, confirmed)
    assert sequence is not None
    subscribers.jobs.advance(59)
    expected = Subscription(sequence, "http://example.org/?ä", 90, 59, options, confirmed)
    assert subscribers.get(sequence) == expected
    assert subscribers.all() == [expected]
    assert subscribers.update(sequence, ttl=100) is True


def test_a_subscriber_has_one_subscription(subscribers: Subscribers) -> None:
    sequence = subscribers.new("http://here")
    assert subscribers.add("http://here") is None
    subscribers.new("http://here/")
    subscribers.drop(sequence)
    assert subscribers.new("http://here") > sequence
    assert subscribers.names() == ["http://here/", "http://here"]


def test_it_lives_to_the_microsecond(subscribers: Subscribers) -> None:
    sequence = subscribers.new("http://here", 60)
    other = subscribers.new("http://other", 61)
    subscribers.jobs.move_to(sequence + 60 * SECOND - 1)
    assert subscribers.add("http://here") is None
    assert subscribers.names() == ["http://here", "http://other"]
    subscribers.jobs.move_to(sequence + 60 * SECOND)
    assert subscribers.names() == ["http://other"]
    assert subscribers.get(sequence) is None
    assert subscribers.update(sequence, ttl=60) is None
    assert subscribers.new("http://here") > other


def test_expired_ones_hide_no_live_ones(subscribers: Subscribers) -> None:
    for n in range(30):
        subscribers.new(f"http://{n}", 3600 if n % 10 == 9 else 60)
    subscribers.jobs.advance(60)
    assert subscribers.names(limit=3) == ["http://9", "http://19", "http://29"]


def test_pages(subscribers: Subscribers) -> None:
    made = [subscribers.new(f"http://{n}") for n in range(5)]
    assert subscribers.names(limit=2) == ["http://0", "http://1"]
    assert subscribers.names(made[1], 2) == ["http://2", "http://3"]
    subscribers.drop(made[1])
    subscribers.drop(made[1])
    assert subscribers.names(made[1]) == ["http://2", "http://3", "http://4"]
    assert subscribers.names(made[4]) == []


def test_what_is_not_given_stays(subscribers: Subscribers) -> None:
    sequence = subscribers.add("http://here", 60, {"a": 1}, confirmed=False)
    assert sequence is not None
    subscribers.jobs.advance(10)
    assert subscribers.update(sequence) is True
    assert subscribers.get(sequence) == Subscription(sequence, "http://here", 60, 10, {"a": 1}, False)
    assert subscribers.update(sequence, options={"b": 2}) is True
    assert subscribers.update(sequence, subscriber="http://there") is True
    assert subscribers.get(sequence) == Subscription(sequence, "http://there", 60, 10, {"b": 2}, False)
    subscribers.jobs.move_to(sequence + 60 * SECOND)
    assert subscribers.get(sequence) is None


def test_a_new_ttl_starts_its_time_anew(subscribers: Subscribers) -> None:
    sequence = subscribers.new("http://here", 60)
    subscribers.jobs.advance(50)
    updated = subscribers.jobs.now
    assert subscribers.update(sequence, ttl=70) is True
    subscribers.jobs.move_to(updated + 70 * SECOND - 1)
    assert subscribers.get(sequence) == Subscription(sequence, "http://here", 70, 69, {}, True)
    subscribers.jobs.move_to(updated + 70 * SECOND)
    assert subscribers.get(sequence) is None


def test_a_ttl_may_become_shorter(subscribers: Subscribers) -> None:
    sequence = subscribers.new("http://here", 3600)
    subscribers.update(sequence, ttl=60)
    subscribers.jobs.advance(60)
    assert subscribers.names() == []


def test_a_ttl_beyond_what_a_double_counts_exactly(subscribers: Subscribers) -> None:
    sequence = subscribers.new("http://here", 250_000_000_000)
    subscribers.jobs.advance(10 * 366 * 86400)
    (told,) = subscribers.all()
    assert (told.sequence, told.ttl) == (sequence, 250_000_000_000)


def test_a_subscriber_is_moved_only_where_there_is_none(subscribers: Subscribers) -> None:
    sequence = subscribers.new("http://here")
    subscribers.new("http://there")
    assert subscribers.update(sequence, subscriber="http://there", options={"a": 1}) is False
    assert subscribers.get(sequence) == Subscription(sequence, "http://here", 60, 0, {}, True)
    assert subscribers.update(sequence, subscriber="http://here", options={"a": 1}) is True
    assert subscribers.update(sequence, subscriber="http://elsewhere") is True
    assert subscribers.new("http://here"), "the old name is free again"
    assert subscribers.add("http://elsewhere") is None
    assert subscribers.update(12345, subscriber="http://x") is None


def test_updates_at_once_lose_nothing(subscribers: Subscribers) -> None:
    """Who reads what somebody else then changes reads again, a few times, and then gives up."""
    sequence = subscribers.new("http://here")
    store, queue = subscribers.jobs.store, subscribers.jobs.queue

    async def update(n: int) -> int | None:
        try:
            assert await store.update_subscription(queue, sequence, options={"n": n}) is True
        except StoreBusy:
            return None
        return n

    def at_once() -> Deferred[list[int | None]]:
        return gatherResults([Deferred.fromCoroutine(update(n)) for n in range(20)])

    done = [n for n in run(at_once) if n is not None]
    assert 1 <= len(done) < 20, "five rounds do not suffice for twenty"
    told = subscribers.get(sequence)
    assert told is not None
    assert told.options["n"] in done

"""Queues made, purged, removed and made anew: incarnations (docs/compatibility.md, 1, 2 and 20)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from storage.errors import StaleQueue
from storage.records import DeadLetter, NewMessage, Queue, Start, Waiting
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.deliveries import ALPHA, Deliveries
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import ALICE, LiveQueue, bodies, new_claim, new_queue, numbers, text

LETTER = Waiting(b"entry", 1, 2, "dead", None, bytes(30))

CALLS: dict[str, Callable[[RedisStore, Queue], Awaitable[Any]]] = {
    "remove": lambda s, q: s.remove(q),
    "purge": lambda s, q: s.purge(q, messages=True, subscriptions=True),
    "sweep": lambda s, q: s.sweep(q),
    "stats": lambda s, q: s.stats(q),
    "post": lambda s, q: s.post(q, [NewMessage(text(1), 60)], ALICE),
    "list_messages": lambda s, q: s.list_messages(q, Start(), 10),
    "get_messages": lambda s, q: s.get_messages(q, [1]),
    "delete_message": lambda s, q: s.delete_message(q, 1, None),
    "delete_messages": lambda s, q: s.delete_messages(q, [1], None),
    "pop_messages": lambda s, q: s.pop_messages(q, 1, None),
    "create_claim": lambda s, q: s.create_claim(q, new_claim(), 60, 60, 1, None),
    "get_claim": lambda s, q: s.get_claim(q, new_claim()),
    "update_claim": lambda s, q: s.update_claim(q, new_claim(), 60, 60),
    "release_claim": lambda s, q: s.release_claim(q, new_claim()),
    "subscribe": lambda s, q: s.subscribe(q, "http://here", 60, {}, confirmed=True),
    "list_subscriptions": lambda s, q: s.list_subscriptions(q, 0, 1),
    "get_subscription": lambda s, q: s.get_subscription(q, 1),
    "find_subscription": lambda s, q: s.find_subscription(q, "http://here"),
    "update_subscription": lambda s, q: s.update_subscription(q, 1, ttl=60),
    "unsubscribe": lambda s, q: s.unsubscribe(q, 1),
    "own_deliveries": lambda s, q: s.own_deliveries(q, ALPHA),
    "deliveries": lambda s, q: s.deliveries(q, ALPHA, 0, 1),
    "undelivered": lambda s, q: s.undelivered(q, ALPHA, 1, 0, 1),
    "delivered": lambda s, q: s.delivered(q, ALPHA, 1, 1, 1),
    "delivery_postponed": lambda s, q: s.delivery_postponed(q, ALPHA, 1, 1, 5, "timeout"),
    "delivery_failed": lambda s, q: s.delivery_failed(q, ALPHA, 1, 1, 1, "timeout", None),
    "delivery_failed for good": lambda s, q: s.delivery_failed(q, ALPHA, 1, 1, 1, "", ("dead", None)),
    "waiting_dead_letters": lambda s, q: s.waiting_dead_letters(q, 1),
    "deliver_dead_letter": lambda s, q: s.deliver_dead_letter(q, LETTER, q),
    "forget_dead_letter": lambda s, q: s.forget_dead_letter(q, LETTER),
    "dead_letter_arrived": lambda s, q: s.dead_letter_arrived(q, LETTER, q),
}
"""Every method that works on a queue, but `create`."""


def full(jobs: LiveQueue) -> None:
    """Fill a queue with something of every kind but dead letters."""
    jobs.post(*range(4))
    jobs.post("late", delay=60)
    jobs.claim(limit=2)
    run(lambda: jobs.store.subscribe(jobs.queue, "http://here", 60, {}, confirmed=True))
    Deliveries(jobs).own().subscribe("http://there", 60)


@pytest.mark.parametrize("name", CALLS)
def test_a_queue_that_is_not_here_is_stale(store: RedisStore, store_server: Server, name: str) -> None:
    before = store_server.client().keys()
    with pytest.raises(StaleQueue):
        run(CALLS[name], store, new_queue())
    assert store_server.client().keys() == before


@pytest.mark.parametrize("name", CALLS)
def test_a_removed_queue_is_stale(jobs: LiveQueue, store_server: Server, name: str) -> None:
    full(jobs)
    assert run(jobs.store.remove, jobs.queue) is True
    with pytest.raises(StaleQueue):
        run(CALLS[name], jobs.store, jobs.queue)
    assert jobs.keys(store_server.client()) == {"head"}


def test_creating_a_queue_that_is_there_changes_nothing(jobs: LiveQueue) -> None:
    jobs.post("kept")
    run(jobs.store.create, jobs.queue)
    assert jobs.bodies() == ["kept"]


def test_after_remove_only_a_head_that_expires_is_left(jobs: LiveQueue, store_server: Server) -> None:
    full(jobs)
    client = store_server.client()
    assert jobs.keys(client) > {"head", "messages", "free", "claimed", "delayed", "held", "subscriptions"}
    assert run(jobs.store.remove, jobs.queue) is True
    assert jobs.keys(client) == {"head"}
    head = head_key(jobs.queue)
    assert client.hgetall(head) == {b"removed": b"1"}
    assert 0 < client.ttl(head) <= 86400
    with pytest.raises(StaleQueue):
        run(jobs.store.create, jobs.queue)


def test_a_queue_made_anew_under_its_name_starts_empty(jobs: LiveQueue) -> None:
    posted = jobs.post("old")
    claim = new_claim()
    jobs.claim(claim)
    assert run(jobs.store.remove, jobs.queue) is True
    anew = LiveQueue(jobs.store, jobs.queue.name)
    assert anew.queue.incarnation != jobs.queue.incarnation
    assert anew.bodies(claimed=True) == []
    assert anew.get(*posted) == [None]
    assert anew.held_by(claim) is None
    anew.post("new")
    assert anew.bodies() == ["new"]


def test_a_queue_with_dead_letters_is_not_removed(jobs: LiveQueue, store_server: Server) -> None:
    jobs.post("dies")
    jobs.claim(dead_letter=DeadLetter(0, "dead", None))
    assert run(jobs.store.remove, jobs.queue) is False
    target = LiveQueue(jobs.store, "dead")
    (letter,) = run(jobs.store.waiting_dead_letters, jobs.queue, 10)
    run(jobs.store.deliver_dead_letter, jobs.queue, letter, target.queue)
    run(jobs.store.forget_dead_letter, jobs.queue, letter)
    assert run(jobs.store.remove, jobs.queue) is True
    assert jobs.keys(store_server.client()) == {"head"}
    assert target.bodies() == ["dies"]


def test_removing_the_target_leaves_no_origins(jobs: LiveQueue, store_server: Server) -> None:
    jobs.post("dies")
    jobs.claim(dead_letter=DeadLetter(0, "dead", None))
    target = LiveQueue(jobs.store, "dead")
    (letter,) = run(jobs.store.waiting_dead_letters, jobs.queue, 10)
    run(jobs.store.deliver_dead_letter, jobs.queue, letter, target.queue)
    assert "origins" in target.keys(store_server.client())
    assert run(jobs.store.remove, target.queue) is True
    assert target.keys(store_server.client()) == {"head"}


def test_purging_messages_takes_the_claimed_and_the_delayed_too(
    jobs: LiveQueue, store_server: Server
) -> None:
    full(jobs)
    claim = new_claim()
    jobs.claim(claim)
    jobs.purge(subscriptions=False)
    assert jobs.counts() == (0, 0, 0)
    assert jobs.held_by(claim) is None
    assert jobs.update(claim) is False
    jobs.advance(60, microseconds=-100)
    assert jobs.bodies(claimed=True, delayed=True) == []
    left = run(jobs.store.list_subscriptions, jobs.queue, 0, 10)
    assert [each.subscriber for each in left] == ["http://here", "http://there"]
    assert jobs.keys(store_server.client()) == {
        "lost",
        "head",
        "subscriptions",
        "subscribers",
        "subscription_order",
        "subscription_expiry",
        "deliveries",
        "delivery_order",
    }


def test_purging_subscriptions_leaves_the_messages(jobs: LiveQueue) -> None:
    full(jobs)
    jobs.purge(messages=False)
    assert jobs.counts() == (2, 2, 1)
    assert run(jobs.store.list_subscriptions, jobs.queue, 0, 10) == []
    subscribed = run(lambda: jobs.store.subscribe(jobs.queue, "http://here", 60, {}, confirmed=True))
    assert subscribed is not None


def test_purging_nothing_and_all(jobs: LiveQueue, store_server: Server) -> None:
    full(jobs)
    jobs.purge(messages=False, subscriptions=False)
    assert jobs.counts() == (2, 2, 1)
    jobs.purge()
    assert jobs.keys(store_server.client()) == {"head", "lost"}


def test_numbers_and_dead_letters_outlive_a_purge(jobs: LiveQueue) -> None:
    jobs.post("dies")
    jobs.claim(dead_letter=DeadLetter(0, "dead", None))
    before = jobs.post("before")
    jobs.purge()
    assert jobs.post("behind")[0] > before[0]
    (letter,) = run(jobs.store.waiting_dead_letters, jobs.queue, 10)
    assert letter.queue_name == "dead"


def test_queues_know_nothing_of_each_other(store: RedisStore) -> None:
    one, other = LiveQueue(store, "a.b"), LiveQueue(store, "a")
    posted = one.post(*range(3))
    assert other.post(*range(3)) == posted, "their numbers may be the same"
    claim = new_claim()
    taken = one.claim(claim, limit=2).messages
    assert other.held_by(claim) is None
    other.release(claim)
    other.delete_many(*posted)
    assert one.held_by(claim) is not None
    assert bodies(one.page(claimed=True).messages) == [0, 1, 2]
    assert numbers(taken) == posted[:2]

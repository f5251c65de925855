"""Deliveries: each subscriber's place in the queue, moved by its owner alone (storage/deliveries.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.deliveries import ERROR_BYTES
from storage.records import DeadLetter, DeliveryCounts, Gap
from tests.support.deliveries import KEYS, OMEGA, Deliveries, letters
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import SECOND, LiveQueue, bodies


@pytest.fixture
def hooks(jobs: LiveQueue) -> Deliveries:
    """Deliveries that are owned."""
    return Deliveries(jobs).own()


# A place


def test_a_subscriber_gets_what_is_posted_from_now_on(jobs: LiveQueue, hooks: Deliveries) -> None:
    *_, newest = jobs.post("before", "it")
    jobs.post("delayed before", delay=5)
    hook = hooks.subscribe()
    delivery = hooks.one(hook)
    assert (delivery.position, delivery.attempts, delivery.due_in) == (newest, 0, 0)
    assert delivery.subscription.delivery == DeliveryCounts(0, 0, 0, "")
    assert hooks.page(hook) == ([], newest, None)
    jobs.post("after")
    jobs.advance(5)
    jobs.post("last")
    page = hooks.page(hook)
    assert page is not None
    assert bodies(page.messages) == ["after", "delayed before", "last"], "in the order in which they appear"
    assert page.position == page.messages[-1].position


def test_a_socket_has_no_delivery(jobs: LiveQueue, hooks: Deliveries, store_server: Server) -> None:
    made = run(lambda: jobs.store.subscribe(jobs.queue, "ws-1", 60, {}, confirmed=True))
    assert made is not None
    assert hooks.all() == []
    assert hooks.counts(made.sequence) is None
    assert run(jobs.store.sweep, jobs.queue).deliveries is False
    assert not jobs.keys(store_server.client()) & KEYS
    assert hooks.delivered(made.sequence, made.position) is False
    assert hooks.page(made.sequence, 0) is None


def test_claimed_messages_are_delivered_too_and_pages_go_on(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    posted = jobs.post(*range(5))
    jobs.claim(limit=2)
    first = hooks.page(hook, limit=3)
    assert first is not None
    assert (bodies(first.messages), first.position) == ([0, 1, 2], posted[2])
    rest = hooks.page(hook, first.position)
    assert rest is not None
    assert (bodies(rest.messages), rest.position) == ([3, 4], posted[4])
    assert hooks.page(hook, rest.position) == ([], posted[4], None)


def test_a_page_of_large_messages_ends_early(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    jobs.post(*("x" * 50_000 for _ in range(60)))
    after, count = hooks.one(hook).position, 0
    while page := hooks.page(hook, after):
        if not page.messages:
            break
        assert len(page.messages) <= 40, "a megabyte, and what came with the last of it"
        after, count = page.position, count + len(page.messages)
    assert count == 60


def test_what_is_delivered_moves_the_place_forward(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook, other = hooks.subscribe("http://a"), hooks.subscribe("http://b")
    one, two, three = jobs.post(1, 2, 3)
    start = hooks.one(other).position
    assert hooks.delivered(hook, two, 2)
    assert hooks.positions() == {"http://a": two, "http://b": start}
    # Twice is once, and it does not go back.
    assert hooks.delivered(hook, two, 2)
    assert hooks.delivered(hook, one, 1)
    assert hooks.counts(hook) == DeliveryCounts(2, 0, 0, "")
    assert hooks.delivered(hook, three, 1)
    assert hooks.counts(hook) == DeliveryCounts(3, 0, 0, "")


def test_the_next_try_waits_in_the_store(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    (posted,) = jobs.post("unwanted")
    assert hooks.postponed(hook, 3, 12.5, "timeout")
    delivery = hooks.one(hook)
    assert (delivery.attempts, delivery.due_in) == (3, 12.5)
    jobs.advance(10)
    assert hooks.by(OMEGA).own().one(hook).due_in == 2.5, "whoever goes on"
    jobs.advance(10)
    assert hooks.own().one(hook).due_in == 0
    assert hooks.counts(hook) == DeliveryCounts(0, 0, 0, "timeout")
    assert hooks.delivered(hook, posted)
    delivery = hooks.one(hook)
    assert (delivery.attempts, delivery.due_in) == (0, 0)
    assert hooks.counts(hook) == DeliveryCounts(1, 0, 0, "timeout")


def test_a_message_that_is_given_up_is_counted_and_stays(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    first, second = jobs.post(1, 2)
    hooks.postponed(hook, 7)
    for _ in range(2):
        assert hooks.failed(hook, first, error="no such host")
    delivery = hooks.one(hook)
    assert (delivery.position, delivery.attempts, delivery.due_in) == (first, 0, 0)
    assert hooks.counts(hook) == DeliveryCounts(0, 1, 0, "no such host")
    assert jobs.bodies() == [1, 2]
    assert letters(jobs) == []
    assert hooks.failed(hook, second)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        ("x" * ERROR_BYTES, "x" * ERROR_BYTES),
        ("é" * ERROR_BYTES, "é" * (ERROR_BYTES // 2)),
        ("x" + "é" * ERROR_BYTES, "x" + "é" * (ERROR_BYTES // 2 - 1)),
        ("half \ud800", "half ?"),
    ],
    ids=["fits", "two bytes", "cut in a character", "a surrogate"],
)
def test_an_error_is_kept_as_far_as_there_is_room(hooks: Deliveries, error: str, kept: str) -> None:
    hook = hooks.subscribe()
    hooks.postponed(hook, 1, 5, error)
    assert hooks.counts(hook) == DeliveryCounts(0, 0, 0, kept)


def test_pages_of_deliveries(hooks: Deliveries) -> None:
    made = [hooks.subscribe(f"http://{number}") for number in range(5)]
    assert [each.subscription.sequence for each in hooks.all(0, 2) or []] == made[:2]
    assert [each.subscription.sequence for each in hooks.all(made[1], 2) or []] == made[2:4]
    assert hooks.all(made[4]) == []


# Dead letters


def test_a_copy_of_what_is_given_up_goes_to_the_outbox(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    (posted,) = jobs.post("work", ttl=3600)
    for _ in range(2):
        assert hooks.failed(hook, posted, dead_letter=("dead", 70))
    assert letters(jobs) == [(posted, "dead", 70)]
    assert jobs.bodies() == ["work"]
    dead = LiveQueue(jobs.store, "dead")
    (letter,) = run(jobs.store.waiting_dead_letters, jobs.queue, 10)
    assert letter.expires == posted + 3600 * SECOND
    run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)
    (arrived,) = dead.page().messages
    assert arrived.origin is not None
    assert (bodies([arrived]), arrived.ttl) == (["work"], 70)
    assert arrived.origin.message_id == jobs.message_id(posted)


def test_of_two_that_give_it_up_one_copy_arrives(jobs: LiveQueue, hooks: Deliveries) -> None:
    two = [hooks.subscribe(f"http://{name}") for name in "ab"]
    (posted,) = jobs.post("work")
    for hook in two:
        assert hooks.failed(hook, posted, dead_letter=("dead", None))
    # And claimed too often it is, in the end.
    assert jobs.claim(dead_letter=DeadLetter(0, "dead", None)).dead_lettered == 1
    dead = LiveQueue(jobs.store, "dead")
    waiting = run(jobs.store.waiting_dead_letters, jobs.queue, 10)
    assert len(waiting) == 3
    for letter in waiting:
        run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)
        run(jobs.store.forget_dead_letter, jobs.queue, letter)
        run(jobs.store.dead_letter_arrived, jobs.queue, letter, dead.queue)
    assert dead.bodies() == ["work"]
    assert letters(jobs) == []


def test_what_was_removed_meanwhile_has_no_copy(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    (posted,) = jobs.post("gone")
    jobs.delete(posted)
    assert hooks.failed(hook, posted, dead_letter=("dead", None))
    assert letters(jobs) == []
    assert hooks.counts(hook) == DeliveryCounts(0, 1, 0, "410 Gone")


def test_a_message_that_was_delayed_is_given_up_at_its_place(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    (posted,) = jobs.post("late", delay=10)
    jobs.advance(10)
    message = jobs.one(posted)
    assert message.position > posted
    assert hooks.failed(hook, posted, message.position, dead_letter=("dead", None))
    assert hooks.one(hook).position == message.position
    assert letters(jobs) == [(posted, "dead", None)]


# What is missed


def expire(jobs: LiveQueue, posted: list[int]) -> str:
    jobs.advance(3600)
    return "expired"


def delete(jobs: LiveQueue, posted: list[int]) -> str:
    jobs.delete_many(*posted)
    return "deleted"


def purge(jobs: LiveQueue, posted: list[int]) -> str:
    jobs.purge(subscriptions=False)
    return "purged"


@pytest.mark.parametrize("remove", [expire, delete, purge], ids=lambda remove: remove.__name__)
def test_what_was_removed_before_it_was_read_is_counted_once(
    jobs: LiveQueue, hooks: Deliveries, remove: Callable[[LiveQueue, list[int]], str]
) -> None:
    hook = hooks.subscribe(ttl=10**6)
    start = hooks.one(hook).position
    posted = jobs.post("a", "b", ttl=3600)
    reason = remove(jobs, posted)
    page = hooks.page(hook)
    assert page == ([], start, Gap(start, posted[-1], reason))
    assert hooks.page(hook) == ([], start, None), "told already"
    assert hooks.counts(hook) == DeliveryCounts(0, 0, 1, "")
    assert hooks.by(OMEGA).own().page(hook) == ([], start, None), "whoever asks"


def test_what_was_read_is_not_missed(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    first, second, third = jobs.post(1, 2, 3)
    read = hooks.page(hook, limit=2)
    assert read is not None
    jobs.delete_many(first, second)
    assert hooks.page(hook, read.position) == (jobs.get(third), third, None)
    assert hooks.counts(hook) == DeliveryCounts(0, 0, 0, "")


def test_others_are_not_skipped_with_what_is_missed(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    posted = jobs.post(1, 2, 3)
    jobs.delete(posted[1])
    start = hooks.one(hook).position
    page = hooks.page(hook)
    assert page is not None
    assert (bodies(page.messages), page.gap) == ([1, 3], Gap(start, posted[1], "deleted"))
    jobs.delete(posted[0])
    jobs.delete(posted[2])
    assert hooks.page(hook) == ([], start, Gap(start, posted[2], "deleted"))
    assert hooks.counts(hook) == DeliveryCounts(0, 0, 2, "")


def test_what_left_before_it_subscribed_is_not_missed(jobs: LiveQueue, hooks: Deliveries) -> None:
    jobs.delete_many(*jobs.post(1, 2))
    hook = hooks.subscribe()
    page = hooks.page(hook)
    assert page is not None
    assert page.gap is None

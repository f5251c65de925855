"""Posts that may be repeated: of those with the same dedup_id one is stored, for a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from storage.records import NewMessage
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import ALICE, SECOND, LiveQueue, connected, text


@pytest.fixture
def jobs(store_server: Server) -> Iterator[LiveQueue]:
    with connected(store_server) as store:
        yield LiveQueue(store)


def kept(jobs: LiveQueue, client: redis.Redis) -> tuple[int, int]:
    """How many dedup_ids are remembered, and how many of them to forget."""
    name = b"zg:{%016x}:" % jobs.queue.incarnation
    return int(client.hlen(name + b"firsts")), int(client.zcard(name + b"firsts_expiry"))


def test_a_repeat_answers_the_first_and_stores_nothing(jobs: LiveQueue) -> None:
    first = jobs.post_once("a", 1)
    other = jobs.post_once("b", 2)
    assert jobs.post_once("a", 3) == first
    assert jobs.post_once("b", 4) == other
    assert jobs.bodies() == [1, 2]


def test_within_one_post(jobs: LiveQueue) -> None:
    messages = [
        NewMessage(text(n), 3600, 0, None, dedup_id)
        for n, dedup_id in enumerate((b"a", b"", b"a", b"b", b"", b"a"))
    ]
    sequences = run(lambda: jobs.store.post(jobs.queue, messages, ALICE, 600))
    assert sequences == [sequences[0], *(sequences[0] + n for n in (1, 0, 2, 3, 0))]
    assert jobs.bodies() == [0, 1, 3, 4]
    again = run(lambda: jobs.store.post(jobs.queue, messages, ALICE, 600))
    assert [again[i] == sequences[i] for i in range(6)] == [True, False, True, True, False, True]
    assert jobs.bodies() == [0, 1, 3, 4, 1, 4]
    assert [message.sequence for message in jobs.page().messages][4:] == [again[1], again[4]]


def test_it_is_forgotten_when_the_window_is_over(jobs: LiveQueue) -> None:
    first = jobs.post_once("a", 1, window=10)
    jobs.move_to(first + 10 * SECOND - 1)
    assert jobs.post_once("a", 2, window=10) == first
    jobs.move_to(first + 10 * SECOND)
    again = jobs.post_once("a", 3, window=10)
    assert again > first
    assert jobs.post_once("a", 4, window=10) == again
    assert jobs.bodies() == [1, 3]


def test_a_repeat_does_not_prolong_it(jobs: LiveQueue) -> None:
    first = jobs.post_once("a", 1, window=10)
    jobs.advance(8)
    assert jobs.post_once("a", 2, window=10) == first
    jobs.advance(3)
    assert jobs.post_once("a", 3, window=10) > first


def test_it_outlives_the_message_and_a_purge(jobs: LiveQueue) -> None:
    first = jobs.post_once("a", 1)
    jobs.delete(first)
    assert jobs.post_once("a", 2) == first
    jobs.purge()
    assert jobs.post_once("a", 2) == first
    assert jobs.bodies() == []


def test_delayed_messages_too(jobs: LiveQueue) -> None:
    first = jobs.post_once("a", 1, delay=30)
    assert jobs.post_once("a", 2) == first
    jobs.advance(30)
    assert jobs.post_once("a", 3, delay=30) == first
    assert jobs.bodies() == [1]


def test_queues_have_their_own(jobs: LiveQueue) -> None:
    other = LiveQueue(jobs.store, "other")
    jobs.post_once("a", 1)
    other.post_once("a", 2)
    assert (jobs.bodies(), other.bodies()) == ([1], [2])


def test_what_is_over_leaves_with_later_posts(jobs: LiveQueue, store_server: Server) -> None:
    for n in range(20):
        jobs.post_once(str(n), n, window=10)
    jobs.advance(11)
    jobs.post_once("new", 0, window=10)
    assert kept(jobs, store_server.client()) == (1, 1)


def test_and_without_them_some_time_later_a_few_hundred_at_once(
    jobs: LiveQueue, store_server: Server
) -> None:
    messages = [NewMessage(text(n), 3600, 0, None, b"%d" % n) for n in range(600)]
    run(lambda: jobs.store.post(jobs.queue, messages, ALICE, 10))
    jobs.advance(50)
    run(jobs.store.sweep, jobs.queue)
    assert kept(jobs, store_server.client()) == (600, 600)
    jobs.advance(25)
    left = []
    for _ in range(3):
        run(jobs.store.sweep, jobs.queue)
        left.append(kept(jobs, store_server.client()))
    assert left == [(344, 344), (88, 88), (0, 0)]
    assert jobs.stats().free == 600


def test_a_queue_that_is_removed_forgets_them(jobs: LiveQueue, store_server: Server) -> None:
    jobs.post_once("a", 1)
    run(jobs.store.remove, jobs.queue)
    assert jobs.keys(store_server.client()) == {"head"}

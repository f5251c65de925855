"""How much a queue may hold: counted in the scripts, exact whatever way messages come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.errors import QueueFull
from storage.records import DeadLetter, NewMessage, Room
from storage.redis.runner import head_key
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.store import ALICE, FOREVER, LiveQueue, new_claim, text

RECORD = 21
"""Bytes of a record beside the body."""

DEAD = DeadLetter(0, "dead", None)
"""Nothing is handed out: all that is claimed is dead."""


@pytest.fixture
def jobs(store: RedisStore) -> Iterator[LiveQueue]:
    yield LiveQueue(store)
    store.room = Room()


def size(live: LiveQueue) -> int:
    """Bytes of the messages, as the sweeper is told."""
    return run(live.store.sweep, live.queue).bytes


def head(live: LiveQueue, *command: str | int) -> Any:
    name, *rest = command
    key = head_key(live.queue)
    return run(lambda: live.store.client.execute(name, key, *rest, key=key))


def limit_of(refused: pytest.ExceptionInfo[QueueFull]) -> str:
    assert refused.value.status == 413
    return refused.value.limit


def test_as_many_messages_as_fit_and_not_one_more(jobs: LiveQueue) -> None:
    jobs.store.room = Room(messages=3)
    jobs.post(1, 2)
    before = jobs.now
    with pytest.raises(QueueFull, match="3 messages") as refused:
        jobs.post(3, 4)
    assert limit_of(refused) == "max_queue_messages"
    assert (jobs.bodies(), jobs.now) == ([1, 2], before)
    jobs.post(3)
    with pytest.raises(QueueFull):
        jobs.post(4)
    jobs.store.room = Room(messages=4)
    jobs.post(4)


def test_as_many_bytes_as_fit_and_not_one_more(jobs: LiveQueue) -> None:
    jobs.store.room = Room(bytes=2 * RECORD + 7)
    jobs.post("ab")
    with pytest.raises(QueueFull, match="49 bytes") as refused:
        jobs.post("ab")
    assert limit_of(refused) == "max_queue_bytes"
    jobs.post(123)
    assert size(jobs) == 2 * RECORD + 7
    with pytest.raises(QueueFull):
        jobs.post(1)


def test_claimed_and_delayed_messages_are_in_the_queue(jobs: LiveQueue) -> None:
    jobs.store.room = Room(messages=3)
    jobs.post(1, 2)
    jobs.claim(limit=1)
    jobs.post(3, delay=60)
    with pytest.raises(QueueFull):
        jobs.post(4)
    assert size(jobs) == 3 * RECORD + 3


def expire(live: LiveQueue, _: list[int]) -> None:
    live.advance(4000)


def delete_one_by_one(live: LiveQueue, sequences: list[int]) -> None:
    for sequence in [*sequences, *sequences]:
        live.delete(sequence)


def acknowledge(live: LiveQueue, sequences: list[int]) -> None:
    claim = new_claim()
    live.claim(claim, limit=10)
    for sequence in sequences:
        live.delete(sequence, claim)


def dead_letter(live: LiveQueue, _: list[int]) -> None:
    live.claim(limit=10, dead_letter=DEAD)
    for letter in run(live.store.waiting_dead_letters, live.queue, 10):
        run(live.store.forget_dead_letter, live.queue, letter)


LEAVING: dict[str, Callable[[LiveQueue, list[int]], object]] = {
    "expiry": expire,
    "message_delete": delete_one_by_one,
    "message_delete with a claim": acknowledge,
    "message_delete_many": lambda live, sequences: live.delete_many(*sequences),
    "message_delete_many, each named twice": lambda live, sequences: live.delete_many(*sequences, *sequences),
    "pop": lambda live, _: live.pop(limit=10),
    "queue_purge": lambda live, _: live.purge(),
    "dead letters": dead_letter,
}


@pytest.mark.parametrize("way", LEAVING)
def test_whatever_leaves_makes_room(jobs: LiveQueue, way: str) -> None:
    stays = [jobs.post("stays", delay=900, ttl=FOREVER)] if way != "queue_purge" else []
    jobs.store.room = Room(4 + len(stays), 4 * (RECORD + 3) + len(stays) * (RECORD + 7))
    for _ in range(3):
        sequences = jobs.post(101, 102, 103, 104)
        with pytest.raises(QueueFull):
            jobs.post(105)
        LEAVING[way](jobs, sequences)
    assert size(jobs) == len(stays) * (RECORD + 7)


def test_what_is_due_makes_room_for_the_post_that_finds_it(jobs: LiveQueue) -> None:
    jobs.store.room = Room(messages=1)
    jobs.post(1, ttl=60)
    jobs.advance(60)
    jobs.post(2)
    assert jobs.bodies() == [2]


def test_what_was_done_stays_done_where_a_post_is_refused(jobs: LiveQueue) -> None:
    """A refused script has ended what was due, and its head has to say so."""
    jobs.post(1, ttl=60)
    jobs.post(2, delay=60)
    jobs.store.room = Room(messages=1)
    jobs.advance(60)
    with pytest.raises(QueueFull):
        jobs.post(3)
    assert jobs.bodies() == [2]
    assert size(jobs) == RECORD + 1


def test_a_repeat_is_answered_by_a_full_queue(jobs: LiveQueue) -> None:
    jobs.store.room = Room(messages=1)
    first = jobs.post_once("a", 1)
    assert jobs.post_once("a", 1) == first
    with pytest.raises(QueueFull):
        jobs.post_once("b", 2)
    assert size(jobs) == RECORD + 1


def test_a_refused_post_is_not_taken_for_the_first(jobs: LiveQueue) -> None:
    jobs.store.room = Room(bytes=2 * RECORD)
    jobs.post_once("a", 1)
    with pytest.raises(QueueFull) as refused:
        jobs.post_once("b", 22)
    assert limit_of(refused) == "max_queue_bytes"
    jobs.purge()
    second = jobs.post_once("b", 22)
    assert jobs.one(second).body.data == b"22"


def test_repeats_in_one_post_take_room_once(jobs: LiveQueue) -> None:
    jobs.store.room = Room(messages=2)
    sent = [NewMessage(text(n), 60, 0, None, name) for n, name in enumerate([b"a", b"a", b"b", b"a"])]
    sequences = run(lambda: jobs.store.post(jobs.queue, sent, ALICE, 600))
    assert [sequences.index(sequence) for sequence in sequences] == [0, 0, 2, 0]
    assert jobs.bodies() == [0, 2]
    assert run(lambda: jobs.store.post(jobs.queue, sent, ALICE, 600)) == sequences


def test_a_dead_letter_comes_into_a_full_queue(store: RedisStore, jobs: LiveQueue) -> None:
    dead = LiveQueue(store, "dead")
    dead.post("full")
    jobs.post("given up")
    jobs.claim(dead_letter=DEAD)
    store.room = Room(messages=1, bytes=1)
    (letter,) = run(store.waiting_dead_letters, jobs.queue, 10)
    for _ in range(2):
        run(store.deliver_dead_letter, jobs.queue, letter, dead.queue)
    assert dead.bodies() == ["full", "given up"]
    assert size(dead) == 2 * RECORD + 6 + 10 + 1 + len("jobs") + 16
    with pytest.raises(QueueFull):
        dead.post("more")


def test_dead_letters_on_their_way_count_as_messages(jobs: LiveQueue) -> None:
    jobs.post(1, 2)
    jobs.claim(dead_letter=DEAD)
    jobs.store.room = Room(messages=2)
    with pytest.raises(QueueFull):
        jobs.post(3)
    dead_letter(jobs, [])
    jobs.post(3)


# Queues of before there was the count, and gateways that do not count


def forget_the_count(live: LiveQueue) -> None:
    head(live, "HDEL", "bytes", "counted")


@pytest.mark.parametrize("way", LEAVING)
def test_an_old_queue_counts_what_comes_from_now_on(jobs: LiveQueue, way: str) -> None:
    old = jobs.post(1, 2, 3)
    forget_the_count(jobs)
    jobs.store.room = Room(bytes=RECORD + 3)
    assert size(jobs) == 0
    new = jobs.post(100)
    with pytest.raises(QueueFull):
        jobs.post(200)
    LEAVING[way](jobs, old + new)
    assert size(jobs) == 0
    jobs.post(300)


def test_an_old_queue_counts_from_its_first_post_too(jobs: LiveQueue) -> None:
    (old,) = jobs.post(1)
    forget_the_count(jobs)
    jobs.post(100)
    jobs.delete(old)
    assert size(jobs) == RECORD + 3


def test_the_count_does_not_fall_below_nothing(jobs: LiveQueue) -> None:
    (one, _) = jobs.post(100, 200)
    head(jobs, "HSET", "bytes", 1)
    jobs.delete(one)
    assert size(jobs) == 0
    jobs.post(300)
    assert size(jobs) == RECORD + 3


def test_an_empty_queue_counts_nothing(jobs: LiveQueue) -> None:
    """Another gateway has removed what it did not count."""
    head(jobs, "HSET", "bytes", 1000)
    assert size(jobs) == 0
    jobs.store.room = Room(bytes=RECORD + 1)
    jobs.post(1)

"""Dead letters are encrypted if either queue is, and wait for who can read them."""

from __future__ import annotations

import pytest

from storage.records import DeadLetter
from storage.redis.encrypted_records import is_encrypted
from storage.redis.store import RedisStore
from tests.storage.redis.encryption.conftest import RULE, SECRET, deliver, encrypting, records, stored
from tests.support.deliveries import Deliveries
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import LiveQueue, bodies


@pytest.mark.parametrize(("source", "target"), [(True, False), (False, True), (True, True), (False, False)])
def test_dead_letters_are_encrypted_if_either_queue_is(
    source: bool, target: bool, store: RedisStore, store_server: Server
) -> None:
    jobs, dead = encrypting(LiveQueue(store), source), encrypting(LiveQueue(store, "dead"), target)
    jobs.post(SECRET, checksum=b"checksum of it--")
    jobs.claim(dead_letter=RULE)
    assert deliver(jobs, dead) == 1
    (letter,) = dead.page().messages
    assert (bodies([letter]), letter.checksum) == ([SECRET], b"checksum of it--")
    assert letter.origin is not None
    assert letter.origin.queue_name == "jobs"
    ((_, record),) = records(store_server, dead).items()
    assert is_encrypted(record) is (source or target)
    assert (SECRET.encode() in stored(store_server, dead.queue)) is not (source or target)


def test_a_letter_dies_twice(store: RedisStore) -> None:
    jobs, dead, graveyard = encrypting(LiveQueue(store)), LiveQueue(store, "dead"), LiveQueue(store, "last")
    jobs.post(SECRET)
    jobs.claim(dead_letter=RULE)
    deliver(jobs, dead)
    dead.claim(dead_letter=DeadLetter(0, "last", 90))
    deliver(dead, graveyard)
    (letter,) = graveyard.page().messages
    assert (bodies([letter]), letter.ttl) == ([SECRET], 90)


def test_letters_without_their_key_wait(jobs: LiveQueue, stranger: LiveQueue) -> None:
    dead = LiveQueue(jobs.store, "dead")
    jobs.post(SECRET)
    stranger.post(2)
    assert jobs.claim(dead_letter=RULE).dead_lettered == 2
    assert deliver(stranger, dead.through(stranger.store)) == 1
    assert bodies(dead.through(stranger.store).page().messages) == [2]
    assert not run(stranger.store.remove, stranger.queue)
    assert deliver(jobs, dead) == 1
    assert run(jobs.store.remove, jobs.queue)


def test_letters_whose_key_is_lost_do_not_wait_for_ever(jobs: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post(SECRET, ttl=60)
    assert jobs.claim(dead_letter=RULE).dead_lettered == 1
    jobs.advance(60)
    assert run(stranger.store.waiting_dead_letters, stranger.queue, 10) == []
    assert not run(stranger.store.remove, stranger.queue)
    jobs.advance(1209600 + 1)  # as long as it could have lived in another queue
    assert run(stranger.store.waiting_dead_letters, stranger.queue, 10) == []
    assert run(stranger.store.remove, stranger.queue)


def test_what_cannot_be_delivered_is_an_encrypted_dead_letter(jobs: LiveQueue, store_server: Server) -> None:
    hooks, dead = Deliveries(jobs).own(), LiveQueue(jobs.store, "dead")
    hook = hooks.subscribe()
    (posted,) = jobs.post(SECRET)
    assert hooks.failed(hook, posted, dead_letter=("dead", None))
    assert deliver(jobs, dead) == 1
    assert bodies(dead.page().messages) == [SECRET]
    assert SECRET.encode() not in stored(store_server, dead.queue) + stored(store_server, jobs.queue)

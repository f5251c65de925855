"""Messages that are kept encrypted: what the store has of them, and what becomes of those without a key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from storage.encryption import EncryptionKey, Keyring
from storage.errors import EncryptionKeyMissing, MessageNotAuthentic, MessageUnreadable, QueueFull
from storage.events import Announced, Event
from storage.records import Consumer, DeadLetter, Deleted, NewMessage, Queue, Room, Start
from storage.redis.encrypted_records import ENCRYPTED, decrypt, encrypt, is_encrypted
from storage.redis.events import RedisEvents
from storage.redis.store import RedisStore
from tests.support.deliveries import Deliveries
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server
from tests.support.store import ALICE, PATIENCE, LiveQueue, bodies, connected_to, new_claim, text

KEY, OTHER = EncryptionKey("2025", os.urandom(32)), EncryptionKey("2026", os.urandom(32))
SECRET = "the plain text"
ASIDE = 30
"""Seconds that a message which a node cannot read is kept out of its way."""


@pytest.fixture
def store(store_server: Server) -> Iterator[RedisStore]:
    """A store with a key."""
    with connected_to(store_server.url, keyring=Keyring([KEY])) as started:
        yield started


@pytest.fixture
def jobs(store: RedisStore) -> LiveQueue:
    """A queue that encrypts."""
    return encrypting(LiveQueue(store))


@pytest.fixture
def stranger(store_server: Server, jobs: LiveQueue) -> Iterator[LiveQueue]:
    """The same queue over a node with another key."""
    with connected_to(store_server.url, keyring=Keyring([OTHER])) as started:
        yield jobs.through(started)


@pytest.fixture
def both(store_server: Server, jobs: LiveQueue) -> Iterator[LiveQueue]:
    """The same over a node that has both keys, and encrypts by the other."""
    with connected_to(store_server.url, keyring=Keyring([OTHER, KEY])) as started:
        yield jobs.through(started)


def encrypting(live: LiveQueue, value: bool | None = True) -> LiveQueue:
    live.queue = replace(live.queue, metadata={"_enable_encrypt_messages": value})
    return live


def stored(server: Server, queue: Queue) -> bytes:
    """All that the server has in the keys of a queue."""
    client = server.client()
    return b"".join(client.dump(key) or b"" for key in client.scan_iter(b"*%016x*" % queue.incarnation))


def records(server: Server, live: LiveQueue) -> dict[bytes, bytes]:
    """The queue's records as the server has them, by sequence."""
    client: Any = server.client()  # its types say that it may answer text
    found: dict[bytes, bytes] = client.hgetall(b"zg:{%016x}:messages" % live.queue.incarnation)
    return found


def test_the_server_has_nothing_of_the_plain_text(jobs: LiveQueue, store_server: Server) -> None:
    jobs.post(SECRET, checksum=b"checksum of it--")
    jobs.post(SECRET, delay=10)
    jobs.post_once("first", SECRET)
    jobs.claim(limit=1)
    assert jobs.claim(limit=1, dead_letter=DeadLetter(0, "dead", None)).dead_lettered == 1
    kept = stored(store_server, jobs.queue)
    assert SECRET.encode() not in kept
    assert b"checksum of it--" not in kept
    assert all(is_encrypted(record) for record in records(store_server, jobs).values())


def test_all_that_reads_reads_it(jobs: LiveQueue) -> None:
    first, second, third = jobs.post(SECRET, 2, 3, checksum=b"checksum of it--")
    assert jobs.bodies() == [SECRET, 2, 3]
    assert (jobs.one(first).checksum, jobs.one(first).body) == (b"checksum of it--", text(SECRET))
    claim = new_claim()
    assert bodies(jobs.claim(claim, limit=1).messages) == [SECRET]
    held = jobs.held_by(claim)
    assert held is not None
    assert bodies(held.messages) == [SECRET]
    assert bodies([jobs.stats().oldest, jobs.stats().newest]) == [SECRET, 3]
    leased = run(jobs.store.lease, jobs.queue, consumer(), 1, 1, None)
    assert leased is not None
    assert bodies(leased.messages) == [2]
    assert bodies(jobs.pop().messages) == [3]
    assert jobs.get(third) == [None]
    assert jobs.one(second).claim_count == 1


def consumer() -> Consumer:
    return Consumer(new_claim(), os.urandom(8), 60, 60, 10)


def test_a_queue_may_have_both_kinds(jobs: LiveQueue, store_server: Server) -> None:
    for value in (True, False, None, True):
        encrypting(jobs, value).post(SECRET)
    assert jobs.bodies() == [SECRET] * 4
    kinds = [is_encrypted(record) for _, record in sorted(records(store_server, jobs).items())]
    assert kinds == [True, False, False, True]


def test_keys_are_exchanged_without_a_break(jobs: LiveQueue, both: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post(1)
    both.post(2)
    assert both.bodies() == [1, 2]
    jobs.delete(jobs.page().messages[0].sequence)
    assert stranger.bodies() == [2]  # what the old key has encrypted is gone: it may go too


def test_a_node_without_keys_posts_nothing_to_it(jobs: LiveQueue, store_server: Server) -> None:
    with connected_to(store_server.url) as keyless, pytest.raises(EncryptionKeyMissing, match="Nothing was"):
        jobs.through(keyless).post(SECRET)
    assert jobs.counts() == (0, 0, 0)


# Without the key


def test_reading_one_is_refused(jobs: LiveQueue, stranger: LiveQueue) -> None:
    (sequence,) = jobs.post(SECRET)
    with pytest.raises(EncryptionKeyMissing) as caught:
        stranger.get(sequence)
    assert caught.value.status == 503
    assert run(lambda: stranger.store.get_messages(stranger.queue, [sequence], only_readable=True)) == [None]
    assert jobs.bodies() == [SECRET]


def test_a_list_ends_in_front_of_it_and_says_how_to_go_on(jobs: LiveQueue, stranger: LiveQueue) -> None:
    stranger.post(1)
    (secret,) = jobs.post(SECRET)
    (last,) = stranger.post(3)
    page = stranger.page()
    assert bodies(page.messages) == [1]
    with pytest.raises(EncryptionKeyMissing, match=rf"Marker {secret} goes on behind it\.") as caught:
        stranger.page(Start(page.position))
    assert caught.value.key_id == "2025"
    assert stranger.bodies(start=Start(secret)) == [3]
    assert stranger.delete(secret) is Deleted.DONE  # which needs no key
    assert stranger.bodies(start=Start(page.position)) == [3]
    assert stranger.page().position == last


def test_statistics_count_it_and_do_not_show_it(jobs: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post(SECRET)
    stranger.post(2)
    stats = stranger.stats()
    assert (stats.free, stats.oldest) == (2, None)
    assert bodies([stats.newest]) == [2]


def test_it_is_not_handed_out_and_keeps_nothing_else_waiting(jobs: LiveQueue, stranger: LiveQueue) -> None:
    (secret,) = jobs.post(SECRET)
    stranger.post(2)
    assert bodies(stranger.claim(limit=1).messages) == [2]
    with pytest.raises(EncryptionKeyMissing):
        jobs.post(SECRET)
        stranger.claim(limit=1)
    assert jobs.counts() == (0, 3, 0)
    jobs.advance(ASIDE)
    assert bodies(jobs.claim().messages) == [SECRET] * 2
    assert jobs.one(secret).claim_count == 1  # what was set aside was not handed out


def test_it_is_not_popped(jobs: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post(SECRET)
    stranger.post(2)
    assert bodies(stranger.pop().messages) == [2]
    with pytest.raises(EncryptionKeyMissing):
        jobs.advance(ASIDE)
        stranger.pop()
    jobs.advance(ASIDE)
    assert bodies(jobs.pop().messages) == [SECRET]


def test_it_is_not_leased(jobs: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post(SECRET)
    stranger.post(2)
    leased = run(stranger.store.lease, stranger.queue, consumer(), 10, 1, None)
    assert leased is not None
    assert (bodies(leased.messages), leased.held, leased.free) == ([2], 1, 0)
    assert leased.due_in == pytest.approx(ASIDE, abs=0.001)
    jobs.advance(ASIDE)
    assert bodies(jobs.claim().messages) == [SECRET]


def test_a_node_that_always_meets_more_does_not_keep_them_for_ever(
    jobs: LiveQueue, stranger: LiveQueue
) -> None:
    for _ in range(3):
        jobs.post(SECRET)
        with pytest.raises(EncryptionKeyMissing):
            stranger.claim()
        jobs.advance(ASIDE / 3)
    assert bodies(jobs.claim().messages) == [SECRET] * 3


def test_setting_aside_makes_no_dead_letters(jobs: LiveQueue, stranger: LiveQueue) -> None:
    rule = DeadLetter(1, "dead", None)
    jobs.post(SECRET)
    for _ in range(3):
        with pytest.raises(EncryptionKeyMissing):
            stranger.claim(dead_letter=rule)
        jobs.advance(ASIDE)
    assert bodies(jobs.claim(dead_letter=rule).messages) == [SECRET]


def test_very_many_are_passed_over(jobs: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post_many(700)
    stranger.post("behind")
    assert bodies(stranger.claim(limit=1).messages) == ["behind"]


def test_a_claim_shows_what_can_be_read(jobs: LiveQueue, both: LiveQueue, stranger: LiveQueue) -> None:
    jobs.post(SECRET)
    stranger.post(2)
    claim = new_claim()
    both.claim(claim)
    held = stranger.held_by(claim)
    assert held is not None
    assert bodies(held.messages) == [2]


def test_the_operator_is_told(store_server: Server, jobs: LiveQueue) -> None:
    told: list[tuple[str, str, str]] = []

    def tell(queue: Queue, message_id: str, error: MessageUnreadable) -> None:
        told.append((queue.name, message_id[:8], error.code))

    (secret,) = jobs.post(SECRET)
    store = RedisStore(reactor, store_server.url, PATIENCE, keyring=Keyring(), on_unreadable=tell)
    run(store.start, 5)
    with pytest.raises(EncryptionKeyMissing):
        jobs.through(store).get(secret)
    with pytest.raises(EncryptionKeyMissing):
        jobs.through(store).claim()
    run(store.stop)
    assert [(name, code) for name, _, code in told] == [("jobs", "encryption_key_missing")] * 2
    assert told[0][1]
    assert not told[1][1]


# In the wrong hands


def test_a_record_that_was_put_into_another_queue_is_not_read(jobs: LiveQueue, store_server: Server) -> None:
    other = encrypting(LiveQueue(jobs.store, "other"))
    jobs.post(SECRET)
    (mine,) = other.post("mine")
    ((_, record),) = records(store_server, jobs).items()
    client = store_server.client()
    client.hset(b"zg:{%016x}:messages" % other.queue.incarnation, mine.to_bytes(7, "big"), record)
    with pytest.raises(MessageNotAuthentic) as caught:
        other.get(mine)
    assert (caught.value.status, caught.value.code) == (503, "message_not_authentic")
    assert other.claim().messages == []
    assert bodies(jobs.pop().messages) == [SECRET]


@pytest.mark.parametrize("at", [0, 5, 20, 30, -1])
def test_a_record_that_was_changed_is_not_read(at: int) -> None:
    ring = Keyring([KEY])
    record = bytearray(encrypt(b"\1" + bytes(20) + b"body", 1, ring))
    assert decrypt(bytes(record), 1, ring) == b"\1" + bytes(20) + b"body"
    record[at] ^= 2
    with pytest.raises(MessageNotAuthentic):
        decrypt(bytes(record), 1, ring)


# Dead letters

RULE = DeadLetter(0, "dead", None)


def deliver(jobs: LiveQueue, dead: LiveQueue) -> int:
    """Bring all that waits to its queue; how many there were."""
    letters = run(jobs.store.waiting_dead_letters, jobs.queue, 100)
    for letter in letters:
        run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)
        run(jobs.store.forget_dead_letter, jobs.queue, letter)
    return len(letters)


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


# Announcements


@pytest.mark.parametrize("keys", [[KEY], [OTHER], []], ids=["key", "other key", "no key"])
def test_what_is_announced_is_ciphertext(
    keys: list[EncryptionKey], jobs: LiveQueue, store_server: Server
) -> None:
    heard: list[Event] = []
    listening: list[int] = []
    spy = store_server.client().pubsub()
    events = RedisEvents(
        *(reactor, store_server.url, 5, lambda _, event: heard.append(event), listening.append), Keyring(keys)
    )
    run(events.start)
    run(events.listen, jobs.queue)
    wait_until(lambda: listening)
    spy.ssubscribe(b"zg:{%016x}:events" % jobs.queue.incarnation)
    assert spy.get_sharded_message(timeout=30) is not None
    jobs.post(SECRET)
    wait_until(lambda: heard)
    told = spy.get_sharded_message(timeout=30)
    spy.close()
    run(events.stop)
    assert told is not None
    assert SECRET.encode() not in told["data"]
    (event,) = heard
    assert isinstance(event, Announced)
    # Who cannot read it is to read it from the queue, and learns there why not.
    assert (event.messages and bodies(event.messages)) == ([SECRET] if keys == [KEY] else None)


# Room


def test_what_a_queue_holds_is_counted_as_it_is_stored(jobs: LiveQueue) -> None:
    size = len(encrypt(bytes(21) + b'"12345"', 1, Keyring([KEY])))
    assert size == 21 + 7 + 1 + len(KEY.id) + 12 + 16
    jobs.store.room = Room(0, 2 * size)
    jobs.post("12345", "12345")
    with pytest.raises(QueueFull):
        jobs.post("1")
    assert run(jobs.store.sweep, jobs.queue).bytes == 2 * size


def test_the_flag_is_the_highest_of_a_record(jobs: LiveQueue, store_server: Server) -> None:
    # The script that hands out messages compares the first byte with it.
    encrypting(jobs, False)
    jobs.post(1, checksum=bytes(16))
    run(jobs.store.post, jobs.queue, [NewMessage(text(2), 60)], ALICE)
    assert all(record[0] < ENCRYPTED for record in records(store_server, jobs).values())


# Deliveries


def test_deliveries_stop_in_front_of_what_cannot_be_read(jobs: LiveQueue, stranger: LiveQueue) -> None:
    hooks = Deliveries(jobs).own()
    hook = hooks.subscribe()
    stranger.post(1)
    jobs.post(SECRET)
    late = Deliveries(stranger).own()
    page = late.page(hook)
    assert page is not None
    assert bodies(page.messages) == [1]
    with pytest.raises(EncryptionKeyMissing):
        late.page(hook, page.position)
    rest = hooks.own().page(hook, page.position)
    assert rest is not None
    assert bodies(rest.messages) == [SECRET]


def test_what_cannot_be_delivered_is_an_encrypted_dead_letter(jobs: LiveQueue, store_server: Server) -> None:
    hooks, dead = Deliveries(jobs).own(), LiveQueue(jobs.store, "dead")
    hook = hooks.subscribe()
    (posted,) = jobs.post(SECRET)
    assert hooks.failed(hook, posted, dead_letter=("dead", None))
    assert deliver(jobs, dead) == 1
    assert bodies(dead.page().messages) == [SECRET]
    assert SECRET.encode() not in stored(store_server, dead.queue) + stored(store_server, jobs.queue)

"""Messages are encrypted where they are stored and announced, and read by all who have the key."""

from __future__ import annotations

import pytest

from storage.encryption import EncryptionKey, Keyring
from storage.errors import EncryptionKeyMissing, MessageNotAuthentic, QueueFull
from storage.events import Announced, Event
from storage.records import DeadLetter, NewMessage, Room
from storage.redis.encrypted_records import ENCRYPTED, decrypt, encrypt, is_encrypted
from storage.redis.events import RedisEvents
from tests.storage.redis.encryption.conftest import KEY, OTHER, SECRET, consumer, encrypting, records, stored
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server
from tests.support.store import ALICE, LiveQueue, bodies, connected_to, new_claim, text


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

"""What a node cannot read is refused, told, and keeps nothing else waiting."""

from __future__ import annotations

import pytest

from storage.encryption import Keyring
from storage.errors import EncryptionKeyMissing, MessageUnreadable
from storage.records import DeadLetter, Deleted, Queue, Start
from storage.redis.store import RedisStore
from tests.storage.redis.encryption.conftest import ASIDE, SECRET, consumer
from tests.support.deliveries import Deliveries
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import PATIENCE, LiveQueue, bodies, new_claim


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

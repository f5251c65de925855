"""Messages one by one: posted, read, expired, delayed, deleted (protocol.md section 5)."""

from __future__ import annotations

import pytest

from protocol.body import Body, Form
from storage.records import Deleted, Message, NewMessage
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.store import ALICE, BOB, FOREVER, SECOND, LiveQueue, bodies, new_claim, numbers


def test_a_message_is_told_as_it_was_posted(jobs: LiveQueue) -> None:
    (posted,) = jobs.post({"n": [1, None, "ä"]}, ttl=120, checksum=b"c" * 16)
    jobs.advance(59.999)
    assert jobs.one(posted) == Message(
        sequence=posted,
        position=posted,
        ttl=120,
        age=59,
        body=Body(Form.JSON, b'{"n": [1, null, "\\u00e4"]}'),
        claim_id=None,
        claim_count=0,
        checksum=b"c" * 16,
        origin=None,
    )
    jobs.advance(microseconds=1000)
    assert jobs.one(posted).age == 60
    assert jobs.one(posted).created == posted // SECOND


def test_bodies_are_kept_to_the_byte_in_either_form(jobs: LiveQueue) -> None:
    kept = [Body(Form.MSGPACK, bytes(range(256))), Body(Form.JSON, b" 1 "), Body(Form.JSON, b"x" * 262_144)]
    sent = [NewMessage(body, 60) for body in kept]
    posted = run(jobs.store.post, jobs.queue, sent, ALICE)
    assert [message.body for message in jobs.get(*posted) if message] == kept


def test_a_post_is_stored_in_its_order(jobs: LiveQueue) -> None:
    first = jobs.post(*range(5))
    second = jobs.post(*range(5, 1005))
    assert first + second == list(range(first[0], first[0] + 1005))
    assert jobs.bodies(limit=2000) == list(range(1005))


def test_get_answers_in_the_order_asked_for_and_tells_what_is_not_there(jobs: LiveQueue) -> None:
    one, two, three = jobs.post(1, 2, 3)
    jobs.delete(two)
    assert bodies(jobs.get(three, two, one, 5, three)) == [3, None, 1, None, 3]
    assert jobs.get() == []


def test_a_message_lives_to_the_microsecond(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("short", ttl=60)
    jobs.post("long", ttl=61)
    jobs.move_to(posted + 60 * SECOND - 1)
    assert jobs.bodies() == ["short", "long"]
    assert jobs.one(posted).age == 59
    jobs.move_to(posted + 60 * SECOND)
    assert jobs.get(posted) == [None]
    assert jobs.bodies() == ["long"]
    assert jobs.counts() == (1, 0, 0)
    assert bodies(jobs.claim().messages) == ["long"]


@pytest.mark.parametrize("clock_runs", [False, True])
def test_the_clock_is_the_servers_moved_by_the_offset(store: RedisStore, clock_runs: bool) -> None:
    jobs = LiveQueue(store, clock_runs=clock_runs)
    jobs.post("gone", ttl=3600)
    jobs.post("stays", ttl=FOREVER)
    if clock_runs:
        store.scripts.clock_offset = 3600 * SECOND
        (page,) = jobs.page().messages
        assert page.age >= 3600
    else:
        jobs.advance(3600)
    assert jobs.bodies() == ["stays"]


def test_a_delayed_message_shows_up_to_the_microsecond(jobs: LiveQueue) -> None:
    (late,) = jobs.post("late", delay=10)
    jobs.post("now")
    jobs.move_to(late + 10 * SECOND - 1)
    assert jobs.bodies() == ["now"]
    assert jobs.counts() == (1, 0, 1)
    assert bodies(jobs.get(late)) == ["late"]
    assert jobs.one(late).position == late
    jobs.move_to(late + 10 * SECOND)
    assert jobs.bodies() == ["now", "late"]
    shown = jobs.one(late)
    assert (shown.sequence, shown.position, shown.age) == (late, late + 10 * SECOND + 1, 10)
    assert jobs.counts() == (2, 0, 0)


def test_a_claim_takes_nothing_that_is_delayed(jobs: LiveQueue) -> None:
    (late,) = jobs.post("late", delay=10)
    assert jobs.claim().messages == []
    assert jobs.pop().messages == []
    jobs.move_to(late + 10 * SECOND)
    assert bodies(jobs.claim().messages) == ["late"]


def test_messages_show_up_in_the_order_of_their_delays_ends(jobs: LiveQueue) -> None:
    jobs.post("c", delay=30)
    jobs.post("b", delay=20)
    jobs.post("a", delay=10)
    jobs.advance(15)
    jobs.post("posted after a showed up")
    jobs.advance(30)
    assert jobs.bodies() == ["a", "posted after a showed up", "b", "c"]
    found = jobs.page().messages
    assert [message.position for message in found] == sorted({message.position for message in found})


def test_one_post_may_delay_some(jobs: LiveQueue) -> None:
    sent = [NewMessage(Body(Form.JSON, b"%d" % n), 60, delay) for n, delay in enumerate([0, 5, 0, 5])]
    posted = run(jobs.store.post, jobs.queue, sent, ALICE)
    assert jobs.bodies() == [0, 2]
    jobs.move_to(posted[1] + 5 * SECOND)
    assert jobs.bodies() == [0, 2, 1]
    assert jobs.counts() == (3, 0, 1)


def test_a_message_may_expire_before_its_delay_ends(jobs: LiveQueue) -> None:
    (posted,) = jobs.post("never seen", ttl=60, delay=900)
    jobs.move_to(posted + 60 * SECOND)
    assert jobs.counts() == (0, 0, 0)
    jobs.advance(900)
    assert jobs.bodies(delayed=True, claimed=True) == []


def test_deleting_what_is_free(jobs: LiveQueue) -> None:
    one, two = jobs.post(1, 2)
    assert jobs.delete(one) is Deleted.DONE
    assert jobs.delete(one) is Deleted.DONE
    assert jobs.bodies() == [2]
    assert jobs.delete(two, new_claim()) is Deleted.NO_SUCH_CLAIM
    assert jobs.delete(two, b"") is Deleted.NO_SUCH_CLAIM
    assert jobs.delete(one, b"") is Deleted.DONE, "an unknown message comes first"
    assert jobs.bodies() == [2]


def test_deleting_what_is_delayed(jobs: LiveQueue) -> None:
    (late,) = jobs.post("late", delay=10)
    assert jobs.delete(late) is Deleted.DONE
    jobs.advance(10)
    assert jobs.counts() == (0, 0, 0)


def test_deleting_what_is_claimed_needs_its_claim(jobs: LiveQueue) -> None:
    held, other, free = jobs.post("held", "other's", "free")
    mine, others = new_claim(), new_claim()
    jobs.claim(mine, limit=1)
    jobs.claim(others, limit=1)
    assert jobs.delete(held) is Deleted.CLAIMED
    assert jobs.delete(held, others) is Deleted.OTHER_CLAIM
    assert jobs.delete(held, new_claim()) is Deleted.NO_SUCH_CLAIM
    assert jobs.delete(held, b"") is Deleted.NO_SUCH_CLAIM
    assert jobs.delete(free, mine) is Deleted.NOT_CLAIMED
    assert jobs.counts() == (1, 2, 0)
    assert jobs.delete(held, mine) is Deleted.DONE
    assert jobs.delete(held, mine) is Deleted.DONE
    assert jobs.bodies(claimed=True) == ["other's", "free"]
    assert jobs.delete(other, others) is Deleted.DONE
    assert jobs.held_by(mine) is not None, "a claim outlives its last message"


def test_an_ended_claim_no_longer_protects_or_permits(jobs: LiveQueue) -> None:
    one, two = jobs.post(1, 2)
    claim = new_claim()
    jobs.claim(claim, ttl=60)
    jobs.advance(60)
    assert jobs.delete(one, claim) is Deleted.NO_SUCH_CLAIM
    assert jobs.delete(one) is Deleted.DONE
    assert jobs.delete(two) is Deleted.DONE


def test_deleting_many_by_ids_does_not_ask_for_claims(jobs: LiveQueue) -> None:
    posted = jobs.post(*range(4))
    jobs.claim(limit=1)
    jobs.post(4, delay=10)
    assert jobs.delete_many(posted[0], posted[2], posted[2], 77) is True
    assert jobs.delete_many() is True
    assert jobs.bodies(claimed=True, delayed=True) == [1, 3, 4]


def test_deleting_many_by_claims_is_all_or_none(jobs: LiveQueue) -> None:
    posted = jobs.post(*range(5))
    first, second, empty = new_claim(), new_claim(), new_claim()
    jobs.claim(first, limit=2)
    jobs.claim(second, limit=2)
    assert jobs.delete_many(*posted[:3], claims=[first]) is False
    assert jobs.delete_many(*posted, claims=[first, second]) is False, "the last is free"
    assert jobs.delete_many(*posted[:2], claims=[]) is False
    assert jobs.delete_many(*posted[:2], claims=[empty]) is False
    assert jobs.counts() == (1, 4, 0)
    assert jobs.delete_many(*posted[:3], 77, claims=[first, empty, second]) is True
    assert jobs.bodies(claimed=True) == [3, 4]
    assert jobs.delete_many(*posted[:3], claims=[first]) is True, "they are gone already"
    assert jobs.delete_many(77, claims=[]) is True


def test_messages_of_clients_are_told_apart(jobs: LiveQueue) -> None:
    mine = jobs.post(1, client=ALICE) + jobs.post(3, client=ALICE)
    jobs.post(2, client=BOB)
    assert numbers(jobs.page(not_from=BOB).messages) == mine
    assert jobs.bodies(not_from=ALICE) == [2]

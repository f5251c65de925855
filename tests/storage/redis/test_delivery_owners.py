"""Deliveries whose subscriptions change and end, whose owner changes, and whose store crashes or is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import StoreFull
from storage.records import DeliveryCounts
from storage.redis.runner import head_key
from tests.support.deliveries import ALPHA, KEYS, OMEGA, Deliveries, letters
from tests.support.reactor import run
from tests.support.servers import Server, start_redis, start_valkey
from tests.support.store import LiveQueue, bodies, connected, put_on_timeline


@pytest.fixture
def hooks(jobs: LiveQueue) -> Deliveries:
    """Deliveries that are owned."""
    return Deliveries(jobs).own()


# Subscriptions that change


def test_one_that_confirms_gets_what_is_posted_from_then_on(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe(confirmed=False)
    start = hooks.one(hook).position
    (newest,) = jobs.post("not meant for it")
    assert hooks.update(hook, options={"a": 1})
    assert hooks.one(hook).position == start
    assert hooks.update(hook, confirmed=True)
    assert hooks.one(hook).position == newest
    jobs.post("meant for it")
    assert hooks.update(hook, confirmed=True)
    assert hooks.one(hook).position == newest, "it had confirmed"
    assert hooks.update(hook, confirmed=False)
    (later,) = jobs.post("not meant for it")
    assert hooks.one(hook).position == newest
    assert hooks.update(hook, confirmed=True)
    assert hooks.one(hook).position == later


def test_one_that_need_not_confirm_keeps_its_place_when_it_does(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe(confirmed=False)
    before = hooks.one(hook)
    jobs.post("waits")
    assert hooks.update(hook, confirmed=True, keep_place=True)
    after = hooks.one(hook)
    assert after.position == before.position
    assert after.subscription.confirmed is True


def test_another_subscriber_is_tried_at_once(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    jobs.post("waits")
    hooks.postponed(hook, 3, 600)
    before = hooks.one(hook)
    assert hooks.update(hook, ttl=7200, options={"a": 1})
    assert (hooks.one(hook).attempts, hooks.one(hook).due_in) == (3, before.due_in)
    assert hooks.update(hook, subscriber="http://there", deliver=True)
    after = hooks.one(hook)
    assert (after.attempts, after.due_in, after.position) == (0, 0, before.position)
    assert after.subscription.subscriber == "http://there"


def test_a_socket_may_become_one_to_deliver_to(jobs: LiveQueue, hooks: Deliveries) -> None:
    made = run(lambda: jobs.store.subscribe(jobs.queue, "ws-1", 60, {}, confirmed=True))
    assert made is not None
    (newest,) = jobs.post("pushed")
    assert hooks.update(made.sequence, subscriber="http://here", deliver=True)
    assert hooks.positions() == {"http://here": newest}


# The end


def expire_subscription(jobs: LiveQueue, hooks: Deliveries, hook: int) -> None:
    jobs.advance(3600)


def unsubscribe(jobs: LiveQueue, hooks: Deliveries, hook: int) -> None:
    hooks.unsubscribe(hook)


def unsubscribe_by_name(jobs: LiveQueue, hooks: Deliveries, hook: int) -> None:
    run(jobs.store.unsubscribe_subscriber, jobs.queue, "http://here")


def purge_subscriptions(jobs: LiveQueue, hooks: Deliveries, hook: int) -> None:
    jobs.purge(messages=False)


ENDS = [expire_subscription, unsubscribe, unsubscribe_by_name, purge_subscriptions]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_the_place_goes_with_the_subscription(
    jobs: LiveQueue,
    hooks: Deliveries,
    store_server: Server,
    end: Callable[[LiveQueue, Deliveries, int], None],
) -> None:
    hook = hooks.subscribe()
    assert run(jobs.store.sweep, jobs.queue).deliveries is True
    (posted,) = jobs.post("waits", ttl=7200)
    end(jobs, hooks, hook)
    assert run(jobs.store.sweep, jobs.queue).deliveries is False
    assert not jobs.keys(store_server.client()) & KEYS
    assert hooks.all() == []
    assert hooks.delivered(hook, posted) is False
    assert hooks.postponed(hook, 1) is False
    assert hooks.failed(hook, posted, dead_letter=("dead", None)) is False
    assert hooks.page(hook, 0) is None
    assert letters(jobs) == []
    again = hooks.subscribe()
    assert hooks.one(again).position == posted


def test_purged_messages_leave_the_places(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    jobs.post("purged")
    jobs.purge(subscriptions=False)
    (posted,) = jobs.post("new")
    page = hooks.page(hook)
    assert page is not None
    assert bodies(page.messages) == ["new"]
    assert hooks.delivered(hook, posted)


# Owners


def test_who_comes_last_is_the_owner(jobs: LiveQueue, hooks: Deliveries) -> None:
    hook = hooks.subscribe()
    first, second = jobs.post(1, 2)
    other = hooks.by(OMEGA)
    assert other.all() is None
    other.own()
    assert hooks.all() is None
    assert hooks.page(hook, 0) is None
    assert hooks.delivered(hook, first) is False
    assert hooks.postponed(hook, 1) is False
    assert hooks.failed(hook, first, dead_letter=("dead", None)) is False
    assert letters(jobs) == []
    assert other.counts(hook) == DeliveryCounts(0, 0, 0, "")
    assert other.delivered(hook, second, 2) is True
    hooks.own()
    assert hooks.one(hook).position == second
    assert other.delivered(hook, second) is False


def test_nobody_is_the_owner_of_a_new_queue(jobs: LiveQueue) -> None:
    hooks = Deliveries(jobs)
    hook = hooks.subscribe()
    assert hooks.all() is None
    assert hooks.delivered(hook, hook) is False


def test_a_server_that_took_over_has_no_owner(jobs: LiveQueue) -> None:
    put_on_timeline(jobs.store, b"the old.")
    hooks = Deliveries(jobs).own()
    hook = hooks.subscribe()
    (posted,) = jobs.post("lost")
    put_on_timeline(jobs.store, b"the new.")
    # It has another message there, which was not delivered.
    assert hooks.delivered(hook, posted) is False
    assert hooks.all() is None
    hooks.own()
    assert hooks.one(hook).timeline == b"the new."
    assert hooks.delivered(hook, posted) is True


def test_a_place_that_was_never_there_is_refused(jobs: LiveQueue, hooks: Deliveries) -> None:
    """Where the server tells no timeline."""
    hook = hooks.subscribe()
    (posted,) = jobs.post("here")
    assert hooks.delivered(hook, posted + 1) is False
    assert hooks.failed(hook, posted + 1) is False
    assert hooks.page(hook, posted + 1) is None
    assert hooks.one(hook).position < posted


# Beside an older version, which knows nothing of deliveries


def forget_as_an_older_version(hooks: Deliveries, sequence: int, subscriber: str) -> None:
    key, packed = head_key(hooks.live.queue), sequence.to_bytes(7, "big")
    for command in (
        ("HDEL", "subscriptions", packed),
        ("HDEL", "subscribers", subscriber),
        ("ZREM", "subscription_order", packed),
        ("ZREM", "subscription_expiry", packed),
    ):
        name, part, member = command
        run(hooks.live.store.client.execute, name, key.replace(b"head", part.encode()), member, key=key)


def test_what_an_older_version_removed_is_not_delivered_to(
    jobs: LiveQueue, hooks: Deliveries, store_server: Server
) -> None:
    names = [f"http://{number}" for number in range(5)]
    made = [hooks.subscribe(name) for name in names]
    (posted,) = jobs.post("news")
    for number in (0, 1, 2, 4):
        forget_as_an_older_version(hooks, made[number], names[number])
    assert hooks.delivered(made[0], posted) is False
    assert hooks.page(made[0], 0) is None
    (left,) = hooks.all(0, 2) or []
    assert left.subscription.sequence == made[3], "it goes on where a page holds none"
    assert hooks.all(made[3], 2) == []
    forget_as_an_older_version(hooks, made[3], names[3])
    assert hooks.all() == []
    assert not jobs.keys(store_server.client()) & KEYS


def test_what_an_older_version_made_is_delivered_to_once_somebody_asks_for_it(
    jobs: LiveQueue, hooks: Deliveries
) -> None:
    made = run(lambda: jobs.store.subscribe(jobs.queue, "http://here", 60, {}, confirmed=True))
    assert made is not None
    assert hooks.all() == []
    again = jobs.store.subscribe(jobs.queue, "http://here", 60, {}, confirmed=True, deliver=True)
    assert run(lambda: again) is None
    assert hooks.positions() == {"http://here": made.position}
    (posted,) = jobs.post("news")
    assert hooks.delivered(made.sequence, posted)
    once_more = jobs.store.subscribe(jobs.queue, "http://here", 60, {}, confirmed=True, deliver=True)
    assert run(lambda: once_more) is None
    assert hooks.positions() == {"http://here": posted}, "its place stays"


# Crashes, and memory


def test_places_and_tries_outlive_a_crash(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always") as server:
        with connected(server) as store:
            hooks = Deliveries(LiveQueue(store)).own()
            hook = hooks.subscribe()
            first, second, _ = hooks.live.post(1, 2, 3)
            assert hooks.delivered(hook, first)
            assert hooks.failed(hook, second, dead_letter=("dead", None))
            assert hooks.postponed(hook, 4, 30, "refused")
            before = hooks.one(hook)
            server.kill()
            server.restart()
        with connected(server) as store:
            again = Deliveries(hooks.live.through(store))
            assert again.all() is None, "another server: it begins without an owner"
            after = again.own().one(hook)
            assert (after.position, after.attempts, after.due_in) == (second, 4, before.due_in)
            assert after.subscription == before.subscription
            assert letters(again.live) == [(second, "dead", None)]


@pytest.mark.parametrize("start", [start_valkey, start_redis], ids=["valkey", "redis7"])
def test_a_full_store_lets_deliveries_go_on(start: Callable[..., Server], tmp_path: Path) -> None:
    with start(tmp_path / "store") as server, connected(server) as store:
        jobs = LiveQueue(store)
        hooks = Deliveries(jobs).own()
        hook = hooks.subscribe()
        first, second, third = jobs.post(1, 2, 3)
        server.client().config_set("maxmemory", "1mb")
        with pytest.raises(StoreFull):
            hooks.subscribe("http://there")
        hooks.by(OMEGA).own()
        hooks.own()
        assert hooks.page(hook) is not None
        assert hooks.delivered(hook, first)
        assert hooks.postponed(hook, 1)
        with pytest.raises(StoreFull):
            hooks.failed(hook, second, dead_letter=("dead", None))
        assert hooks.one(hook).position == first, "nothing was done"
        assert hooks.failed(hook, second)
        assert hooks.delivered(hook, third)
        server.client().config_set("maxmemory", "0")


def test_many_that_expire_together_while_one_is_delivered_to(jobs: LiveQueue, hooks: Deliveries) -> None:
    """More than one script does (AGAIN)."""
    hook = hooks.subscribe(ttl=10**6)
    for number in range(300):
        hooks.subscribe(f"http://{number}", ttl=60)
    jobs.post_many(600, ttl=60)
    jobs.advance(60)
    (left,) = hooks.all() or []
    assert left.subscription.sequence == hook
    page = hooks.page(hook)
    assert page is not None
    assert page.gap is not None
    assert page.gap.reason == "expired"


def test_the_owner_is_not_the_token_alone(jobs: LiveQueue) -> None:
    hooks = Deliveries(jobs, ALPHA).own()
    assert hooks.by(ALPHA[:-1]).all() is None
    assert hooks.by(b"").all() is None

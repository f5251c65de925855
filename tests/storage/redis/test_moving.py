"""What a store does for a move: it notes changes, copies exactly, holds requests up, lets the queue go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from storage.errors import MoveLapsed, MoveOvertaken, QueueMoved, StaleQueue, StoreBusy, StoreFailed
from storage.events import Moved
from storage.moves import Numbers
from storage.records import DeadLetter, NewMessage, Waiting
from storage.redis import moving
from storage.redis.events import RedisEvents
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.support.deliveries import Deliveries
from tests.support.moves import KEYS, bury, contents, fill, subscribe, value_of
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server
from tests.support.store import (
    ALICE,
    FOREVER,
    PATIENCE,
    SECOND,
    LiveQueue,
    connected_to,
    new_claim,
    new_queue,
    text,
)
from tests.support.topologies import Cluster, Service

Place = Server | Service | Cluster
TOKEN, OTHER = b"token".ljust(16, b"-"), b"other".ljust(16, b"-")
LONG = 30.0
"""Seconds that a fence holds when its end is not of interest."""


@pytest.fixture(
    params=[
        ("valkey", "redis7"),
        ("redis7", "valkey"),
        pytest.param(("service", "cluster"), marks=pytest.mark.long),
        pytest.param(("cluster", "service"), marks=pytest.mark.long),
    ],
    ids="-".join,
)
def places(request: pytest.FixtureRequest) -> tuple[Place, Place]:
    """Where a queue is, and where it goes."""
    source, target = (request.getfixturevalue(name) for name in request.param)
    for place in (source, target):
        place.client().flushall()
    return source, target


@pytest.fixture
def stores(places: tuple[Place, Place]) -> Iterator[tuple[RedisStore, RedisStore]]:
    """The stores there."""
    with connected_to(places[0].url) as source, connected_to(places[1].url) as target:
        yield source, target


class Moving:
    """A queue on its way, moved by hand."""

    def __init__(self, live: LiveQueue, target: RedisStore) -> None:
        self.live, self.store = live, target
        self.queue = live.queue
        self.source, self.target = RedisMoves(live.store), RedisMoves(target)
        target.scripts.clock_offset = live.store.scripts.clock_offset

    def begin(self, earlier: bytes = b"", token: bytes = TOKEN) -> tuple[bool, bool]:
        kept, self.newest = run(self.source.begin, self.queue, token, earlier)
        return kept, run(lambda: self.target.arrive(self.queue, token, earlier, keep=kept))

    def copy(self, *parts: str) -> int:
        """Copy these parts, or all; how many items."""
        count = 0
        for part in parts or self.source.parts:
            cursor, more = "", True
            while more:
                page = run(self.source.copy, self.queue, TOKEN, part, cursor, self.newest)
                run(self.target.put, self.queue, TOKEN, page.items)
                cursor, more, count = page.cursor, page.more, count + len(page.items)
        return count

    def catch_up(self) -> int:
        """Copy what has changed; how many items."""
        count, left = 0, 1
        while left:
            items, left = run(self.source.take, self.queue, TOKEN)
            if items:
                run(self.target.put, self.queue, TOKEN, items)
                run(self.source.acknowledge, self.queue, TOKEN)
            count += len(items)
        return count

    def settle_in(self) -> None:
        """Put up the fence, copy the outbox, and complete the copy."""
        numbers = run(self.source.fence, self.queue, TOKEN, LONG)
        letters = 0
        while items := run(self.source.outbox, self.queue, TOKEN, letters):
            run(self.target.put, self.queue, TOKEN, items)
            letters += len(items)
        run(self.target.settle_in, self.queue, TOKEN, numbers, LONG, letters)

    def leave(self) -> LiveQueue:
        """Do the rest; the queue where it is then."""
        self.catch_up()
        self.settle_in()
        assert run(self.source.depart, self.queue, TOKEN, "there")
        run(self.target.open, self.queue, TOKEN)
        return self.live.through(self.store)

    def both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is there, and here, without heads and outbox."""
        found = contents(self.live.store, self.queue), contents(self.store, self.queue)
        for each in found:
            for name in ("head", "outbox"):
                each.pop(name, None)
        return found


@pytest.fixture
def jobs(stores: tuple[RedisStore, RedisStore]) -> LiveQueue:
    """A queue at the source, with nothing in it."""
    return LiveQueue(stores[0])


@pytest.fixture
def move(jobs: LiveQueue, stores: tuple[RedisStore, RedisStore]) -> Moving:
    """Its move, which has not begun."""
    return Moving(jobs, stores[1])


# Every kind of change


def forget_first(live: LiveQueue) -> None:
    pass_time(live, 700)
    live.post_once("e", "new")


State = dict[str, Any]


def deliver(live: LiveQueue, number: int = 1, queue: LiveQueue | None = None) -> Waiting:
    """Have a dead letter arrive."""
    waiting = Waiting(b"", number, live.now + 60 * SECOND, live.queue.name, None, b"\0" * 21 + b"1")
    run(live.store.deliver_dead_letter, live.queue, waiting, live.queue)
    return waiting


def deliver_and_forget(live: LiveQueue, state: State) -> None:
    run(live.store.forget_dead_letter, live.queue, state["letter"])
    run(live.store.dead_letter_arrived, live.queue, state["letter"], live.queue)


def forget_origins(live: LiveQueue, state: State) -> None:
    live.advance(FOREVER + 1)
    live.post("again")
    deliver(live, 9)


def change_subscription(live: LiveQueue, state: State, **changes: Any) -> None:
    assert run(lambda: live.store.update_subscription(live.queue, state["subscriptions"][0], **changes))


def pass_time(live: LiveQueue, seconds: int) -> None:
    live.advance(seconds)
    live.stats()


def purge_and_go_on(live: LiveQueue, *, messages: bool) -> None:
    live.purge(messages=messages, subscriptions=not messages)
    live.post("new")
    subscribe(live, "http://new")


def swap_subscribers(live: LiveQueue, state: State) -> None:
    one, two, _ = state["subscriptions"]
    for sequence, name in ((one, "x"), (two, "http://a"), (one, "http://b")):
        run(lambda s=sequence, n=name: live.store.update_subscription(live.queue, s, subscriber=n))


def replace_hook(state: State) -> None:
    state["deliveries"].unsubscribe(state["hooks"][0])
    state["deliveries"].subscribe("http://hook/a")


def confirm_hook(live: LiveQueue, state: State) -> None:
    hook = state["hooks"][0]
    state["deliveries"].update(hook, confirmed=False)
    live.post("new")
    state["deliveries"].update(hook, confirmed=True)


def miss(live: LiveQueue, state: State) -> None:
    live.delete(live.post("new")[0])
    assert state["deliveries"].page(state["hooks"][0]).gap


CHANGES: dict[str, Callable[[LiveQueue, State], Any]] = {
    "post": lambda live, state: live.post("new", "newer"),
    "post once": lambda live, state: live.post_once("e", "new"),
    "forget what was posted once": lambda live, state: forget_first(live),
    "post with delay": lambda live, state: live.post("new", delay=5),
    "delete": lambda live, state: live.delete(state["free"][0]),
    "delete a delayed one": lambda live, state: live.delete(state["delayed"][0]),
    "delete a claimed one": lambda live, state: live.delete(state["claimed"][0], state["claim"]),
    "delete many": lambda live, state: live.delete_many(*state["free"], *state["claimed"]),
    "pop": lambda live, state: live.pop(2),
    "claim": lambda live, state: live.claim(limit=2),
    "claim what expires": lambda live, state: live.claim(limit=2, ttl=7200),
    "update a claim": lambda live, state: live.update(state["claim"], ttl=30),
    "update a claim of what expires": lambda live, state: live.update(state["claim"], ttl=7200),
    "release": lambda live, state: live.release(state["claim"]),
    "dead letters leave": lambda live, state: live.claim(dead_letter=DeadLetter(0, "dead", None)),
    "a dead letter arrives": lambda live, state: deliver(live),
    "a dead letter has arrived": deliver_and_forget,
    "origins are forgotten": forget_origins,
    "purge": lambda live, state: live.purge(),
    "purge messages, then post": lambda live, state: purge_and_go_on(live, messages=True),
    "purge subscriptions, then subscribe": lambda live, state: purge_and_go_on(live, messages=False),
    "subscribe": lambda live, state: subscribe(live, "http://d"),
    "subscribe for a while": lambda live, state: subscribe(live, "http://d", 60),
    "unsubscribe": lambda live, state: run(live.store.unsubscribe, live.queue, state["subscriptions"][1]),
    "unsubscribe by name": lambda live, state: run(live.store.unsubscribe_subscriber, live.queue, "http://c"),
    "other options": lambda live, state: change_subscription(live, state, options={"b": 2}),
    "another ttl": lambda live, state: change_subscription(live, state, ttl=60),
    "another subscriber": lambda live, state: change_subscription(live, state, subscriber="http://e"),
    "subscribers swapped": swap_subscribers,
    "subscribe a hook": lambda live, state: state["deliveries"].subscribe("http://hook/c"),
    "unsubscribe a hook": lambda live, state: state["deliveries"].unsubscribe(state["hooks"][0]),
    "a hook in place of another": lambda live, state: replace_hook(state),
    "a hook confirms": confirm_hook,
    "another hook": lambda live, state: state["deliveries"].update(state["hooks"][0], subscriber="http://x"),
    "a socket becomes a hook": lambda live, state: change_subscription(
        live, state, subscriber="http://e", deliver=True
    ),
    "delivered": lambda live, state: state["deliveries"].delivered(state["hooks"][0], live.post("new")[0]),
    "postponed": lambda live, state: state["deliveries"].postponed(state["hooks"][1], 5),
    "given up": lambda live, state: state["deliveries"].failed(state["hooks"][0], live.post("new")[0]),
    "missed": miss,
    "delays end": lambda live, state: pass_time(live, 60),
    "claims end": lambda live, state: pass_time(live, 90),
    "messages and subscriptions expire": lambda live, state: pass_time(live, 3601),
    "everything ends": lambda live, state: pass_time(live, FOREVER),
}


@pytest.mark.parametrize("when", ["copied", "half copied", "not copied"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noted(move: Moving, change: str, when: str) -> None:
    live = move.live
    state = fill(live)
    state["letter"] = deliver(live, 5)
    move.begin()
    if when == "copied":
        move.copy()
        there, here = move.both()
        assert there == here
    elif when == "half copied":
        move.copy("claimed", "claims", "subscriptions")
    before = contents(live.store, live.queue)
    CHANGES[change](live, state)
    assert contents(live.store, live.queue) != before
    if when != "copied":
        move.copy(*(["free", "delayed", "origins", "lost", "firsts"] if when == "half copied" else []))
    move.catch_up()
    there, here = move.both()
    assert there == here
    assert move.leave().stats() is not None


def test_a_queue_of_everything_moves_exactly(move: Moving) -> None:
    state = fill(move.live)
    deliver(move.live)
    subscribe(move.live, "http://longer", 10**6)
    before = contents(move.live.store, move.queue)
    page, held = move.live.page(claimed=True, delayed=True), move.live.held_by(state["claim"])
    move.begin()
    move.copy()
    assert move.catch_up() == 0
    there = move.leave()
    assert contents(move.store, move.queue) == before
    assert value_of(move.live.store, move.queue, "head").keys() == {b"moved", b"by"}
    assert contents(move.live.store, move.queue).keys() == {"head"}
    assert there.page(claimed=True, delayed=True) == page
    assert there.held_by(state["claim"]) == held
    # What is due there is known there.
    there.advance(60)
    assert there.counts() == (6 + 3 + 2, 2, 1)
    assert there.post("goes on")[0] > there.page(limit=1000).messages[-2].sequence


def test_places_move_and_their_owner_does_not(move: Moving) -> None:
    state = fill(move.live)
    hooks, hook = state["deliveries"], state["hooks"][0]
    (posted,) = move.live.post("news")
    hooks.delivered(hook, posted)
    hooks.postponed(hook, 3, 60, "refused")
    before = hooks.all()
    move.begin()
    move.copy()
    assert hooks.delivered(state["hooks"][1], posted), "it goes on meanwhile"
    there = Deliveries(move.leave())
    assert there.all() is None
    assert there.delivered(hook, posted) is False
    after = there.own().all()
    assert [each.subscription.sequence for each in after or []] == state["hooks"]
    assert (after or [])[0].position == posted
    assert (after or [])[0].attempts == 3
    assert before is not None
    assert there.counts(hook) == before[0].subscription.delivery
    assert run(there.live.store.sweep, there.live.queue).deliveries is True


def test_pages_go_on_where_many_have_one_score(move: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "ITEMS", 4)
    live = move.live
    live.post_many(30)
    # Time stands still: all these claims end at once.
    for _ in range(11):
        live.claim(new_claim(), limit=1, ttl=60)
        live.delete(live.page().messages[0].sequence)
    ends = set(value_of(live.store, live.queue, "claims")[1::2])
    assert len(ends) == 1
    move.begin()
    assert move.copy("claims") == 11
    move.copy()
    there, here = move.both()
    assert there == here
    # The last one of a page has gone: those of its score come once more, and none is missed.
    first = run(move.source.copy, live.queue, TOKEN, "claims", "", 0)
    member = bytes.fromhex(first.cursor.partition(":")[2])
    live.release(member)
    again = run(move.source.copy, live.queue, TOKEN, "claims", first.cursor, 0)
    assert set(again.items) & set(first.items)
    move.catch_up()
    there, here = move.both()
    assert there == here


def test_pages_and_notes_are_bounded_by_bytes(move: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "BYTES", 10_000)
    live = move.live
    live.post(*("x" * 6000 for _ in range(7)))
    move.begin()
    assert len(run(move.source.copy, live.queue, TOKEN, "free", "", live.now).items) == 2
    live.delete(live.post(*("y" * 6000 for _ in range(5)))[0])
    items, left = run(move.source.take, live.queue, TOKEN)
    assert 2 <= len(items) <= 4  # two large ones, and in any order what says that one was deleted
    assert len(items) + left == 6  # five messages, and that one was deleted
    move.copy()
    move.catch_up()
    there, here = move.both()
    assert there == here


def test_what_was_taken_is_taken_again_until_it_is_acknowledged(move: Moving) -> None:
    live = move.live
    move.begin()
    posted = live.post("a", "b")
    items, left = run(move.source.take, live.queue, TOKEN)
    assert (len(items), left) == (2, 0)
    live.delete(posted[0])
    again, left = run(move.source.take, live.queue, TOKEN)
    assert (len(again), left) == (3, 0)  # and that one was deleted
    assert again != items
    assert run(move.source.copy, live.queue, TOKEN, "free", "", live.now).noted == 3
    run(move.source.acknowledge, live.queue, TOKEN)
    assert run(move.source.take, live.queue, TOKEN) == ([], 0)


def test_a_purge_does_not_take_along_what_was_posted_after_it(
    move: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHANGES", 5)
    live = move.live
    move.begin()
    live.post_many(50)
    live.purge(subscriptions=False)
    live.post_many(50)
    move.catch_up()
    there, here = move.both()
    assert there == here
    assert len(here["messages"]) == 50


def test_a_purge_does_not_take_along_who_subscribed_after_it(
    move: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHANGES", 2)
    live = move.live
    move.begin()
    for number in range(20):
        subscribe(live, f"http://{number}")
    live.purge(messages=False)
    for number in range(20):
        subscribe(live, f"http://again/{number}")
    move.catch_up()
    there, here = move.both()
    assert there == here
    assert len(here["subscriptions"]) == 20


def test_nothing_is_noted_for_a_queue_that_stays(move: Moving) -> None:
    fill(move.live)
    for name in ("noted", "taken"):
        assert value_of(move.live.store, move.queue, name) is None
    move.begin()
    move.live.post("a")
    assert value_of(move.live.store, move.queue, "noted") is not None
    run(move.source.give_up, move.queue, OTHER)
    assert value_of(move.live.store, move.queue, "noted") is not None
    run(move.source.give_up, move.queue, TOKEN)
    move.live.post("b")
    assert value_of(move.live.store, move.queue, "noted") is None
    assert b"move" not in value_of(move.live.store, move.queue, "head")


# Leases and tokens


def test_without_its_mover_the_source_forgets_the_notes(move: Moving) -> None:
    brief = RedisMoves(move.live.store, lease=0.01)
    run(brief.begin, move.queue, TOKEN, b"")
    move.live.post("noted")

    def is_forgotten() -> bool:
        move.live.post("more")
        return b"move" not in value_of(move.live.store, move.queue, "head")

    wait_until(is_forgotten)
    assert value_of(move.live.store, move.queue, "noted") is None
    for call in (
        lambda: move.source.copy(move.queue, TOKEN, "free", "", 0),
        lambda: move.source.take(move.queue, TOKEN),
        lambda: move.source.acknowledge(move.queue, TOKEN),
        lambda: move.source.fence(move.queue, TOKEN, 1),
        lambda: move.source.outbox(move.queue, TOKEN, 0),
        lambda: move.source.depart(move.queue, TOKEN, "there"),
    ):
        with pytest.raises(MoveLapsed):
            run(call)
    assert run(move.source.begin, move.queue, OTHER, TOKEN).kept is False


def test_the_notes_go_on_to_another_mover(move: Moving) -> None:
    assert move.begin() == (False, False)
    move.copy()
    move.live.post("a")
    run(move.source.take, move.queue, TOKEN)
    move.live.post("b")
    assert move.begin(TOKEN, OTHER) == (True, True)
    for call in (
        lambda: move.source.take(move.queue, TOKEN),
        lambda: move.target.put(move.queue, TOKEN, []),
        lambda: move.target.settle_in(move.queue, TOKEN, Numbers(1, 1), 1, 0),
        lambda: move.source.depart(move.queue, TOKEN, "there"),
    ):
        with pytest.raises(MoveOvertaken):
            run(call)
    items, _ = run(move.source.take, move.queue, OTHER)
    assert len(items) == 2


def test_another_mover_that_does_not_know_the_one_before_begins_anew(move: Moving) -> None:
    move.live.post("a")
    move.begin()
    move.copy()
    move.live.post("b")
    assert move.begin(b"", OTHER) == (False, False)
    assert contents(move.store, move.queue).keys() <= {"head"}
    assert run(move.source.take, move.queue, OTHER) == ([], 0)


def test_a_repeated_beginning_begins_anew(move: Moving) -> None:
    """Its first answer was lost, and might have been either."""
    move.begin()
    assert move.begin(OTHER, TOKEN) == (False, False)
    assert move.begin(TOKEN, OTHER) == (True, True)
    assert move.begin(TOKEN, OTHER) == (False, False)


def test_an_incomplete_copy_goes_by_itself_and_a_complete_one_stays(move: Moving) -> None:
    fill(move.live)
    deliver(move.live)
    move.begin()
    move.copy()

    def lives(name: str) -> int:
        head = b"zg:{%016x}:" % move.queue.incarnation
        return int(run(move.store.client.execute, "TTL", head + name.encode(), key=head))

    there = [name for name in KEYS if value_of(move.store, move.queue, name)]
    assert len(there) > 10
    assert all(86000 < lives(name) <= 86400 for name in there)
    move.settle_in()
    assert "outbox" in contents(move.store, move.queue)
    assert all(lives(name) == -1 for name in there)


def test_a_copy_that_is_not_wanted_is_removed_by_its_move_alone(move: Moving) -> None:
    fill(move.live)
    move.begin()
    move.copy()
    run(move.target.clear, move.queue, OTHER)
    assert len(contents(move.store, move.queue)) > 1
    run(move.target.clear, move.queue, TOKEN)
    assert contents(move.store, move.queue) == {}
    move.begin()
    there = move.leave()
    there.post("lives")
    run(move.target.clear, move.queue, TOKEN)
    assert there.bodies() == ["lives"]


def test_a_queue_that_lives_in_the_target_is_not_overwritten(move: Moving) -> None:
    late = RedisMoves(move.store)
    move.begin()
    there = move.leave()
    there.post("lives")
    for earlier, keep in ((b"", False), (OTHER, True), (TOKEN, True)):
        with pytest.raises(StoreFailed, match="is in the store already"):
            run(lambda e=earlier, k=keep: late.arrive(move.queue, OTHER, e, keep=k))
    assert there.bodies() == ["lives"]


def test_a_complete_copy_that_could_not_be_used_is_gone_on_with(move: Moving) -> None:
    fill(move.live)
    move.begin()
    move.copy()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0)
    assert run(lambda: move.target.arrive(move.queue, TOKEN, TOKEN, keep=True)) is True
    move.live.post("meanwhile")
    move.live.pop()
    run(move.live.store.forget_dead_letter, move.queue, letters(move.live)[0])
    there = move.live.page(claimed=True, delayed=True), letters(move.live)
    here = move.leave()
    assert (here.page(claimed=True, delayed=True), letters(here)) == there
    assert len(there[1]) == 2


def letters(live: LiveQueue) -> list[Waiting]:
    return run(live.store.waiting_dead_letters, live.queue, 1000)


def test_an_outbox_that_was_emptied_meanwhile_is_empty_there(move: Moving) -> None:
    bury(move.live, 2)
    move.begin()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0)
    run(lambda: move.target.arrive(move.queue, TOKEN, TOKEN, keep=True))
    for letter in letters(move.live):
        run(move.live.store.forget_dead_letter, move.queue, letter)
    assert letters(move.leave()) == []


def test_a_long_outbox_arrives_in_order(move: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "ITEMS", 3)
    bury(move.live, 10)
    before = letters(move.live)
    move.begin()
    assert letters(move.leave()) == before


# The fence


def start(live: LiveQueue) -> Deferred[list[int]]:
    """A post that is under way."""
    # In a list, as `run` waits for a Deferred.
    started: list[Deferred[list[int]]] = run(
        lambda: [Deferred.fromCoroutine(live.store.post(live.queue, [NewMessage(text("waits"), 60)], ALICE))]
    )
    return started[0]


def test_behind_the_fence_requests_wait_and_none_fails(move: Moving) -> None:
    live = move.live
    live.post("a")
    move.begin()
    move.copy()
    run(move.source.fence, move.queue, TOKEN, LONG)
    before = contents(live.store, live.queue)
    posting = start(live)
    with pytest.raises(TimeoutError):
        run(live.store.stats, live.queue, timeout=0.2)
    assert not posting.called
    assert contents(live.store, live.queue) == before
    run(move.source.fence, move.queue, TOKEN, 0)
    assert len(run(lambda: posting)) == 1
    assert live.bodies() == ["a", "waits"]
    move.catch_up()
    there, here = move.both()
    assert there == here


def test_who_waits_at_the_fence_is_sent_on_when_the_queue_has_left(move: Moving) -> None:
    move.begin()
    move.settle_in()
    posting = start(move.live)
    early = start(move.live.through(move.store))
    assert run(move.source.depart, move.queue, TOKEN, "there")
    with pytest.raises(StaleQueue):
        run(lambda: posting)
    # There they wait too, until it is opened.
    assert not early.called
    run(move.target.open, move.queue, TOKEN)
    run(lambda: early)
    assert move.live.through(move.store).bodies() == ["waits"]


def test_a_fence_ends_by_itself_and_the_queue_stays(move: Moving) -> None:
    move.begin()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0.05)
    move.live.post("waits for the end")
    assert run(move.source.depart, move.queue, TOKEN, "there") is False
    # What has changed since keeps it from leaving under the next one, until it is copied.
    run(move.source.fence, move.queue, TOKEN, LONG)
    assert run(move.source.depart, move.queue, TOKEN, "there") is False
    run(move.source.take, move.queue, TOKEN)
    assert run(move.source.depart, move.queue, TOKEN, "there") is False
    run(move.source.acknowledge, move.queue, TOKEN)
    assert run(move.source.depart, move.queue, TOKEN, "there") is True


def test_what_is_not_noted_keeps_the_queue_too_when_the_fence_has_ended(move: Moving) -> None:
    bury(move.live, 2)
    move.begin()
    move.copy()
    move.catch_up()
    move.settle_in()
    run(move.source.fence, move.queue, TOKEN, 0.05)
    letter = letters(move.live)[0]  # as soon as the fence has ended
    run(move.live.store.forget_dead_letter, move.queue, letter)
    assert value_of(move.live.store, move.queue, "noted") is None
    assert run(move.source.depart, move.queue, TOKEN, "there") is False


def test_who_waits_too_long_is_told_so(move: Moving, places: tuple[Place, Place]) -> None:
    move.begin()
    run(move.source.fence, move.queue, TOKEN, LONG)
    with connected_to(places[0].url, timeout=1) as impatient:
        impatient.scripts.clock_offset = move.live.store.scripts.clock_offset
        with pytest.raises(StoreBusy, match="being moved"):
            run(impatient.stats, move.queue)


# What stays behind


def test_a_queue_that_has_left_says_where_to(move: Moving, places: tuple[Place, Place]) -> None:
    events: list[Any] = []
    listening: list[int] = []
    ears = RedisEvents(reactor, places[0].url, PATIENCE, lambda *told: events.append(told), listening.append)
    run(ears.start)
    run(ears.listen, move.queue)
    wait_until(lambda: listening)
    move.begin()
    move.leave()
    wait_until(lambda: events == [(move.queue.incarnation, Moved("there"))])
    run(ears.stop)
    with pytest.raises(StaleQueue):
        move.live.post("here")
    with pytest.raises(QueueMoved) as told:
        run(move.live.store.create, move.queue)
    assert told.value.pool == "there"
    with pytest.raises(QueueMoved):
        run(move.source.begin, move.queue, OTHER, TOKEN)
    # Asked again, it has left still.
    assert run(move.source.depart, move.queue, TOKEN, "there")
    head = b"zg:{%016x}:head" % move.queue.incarnation
    assert run(move.live.store.client.execute, "TTL", head, key=head) == -1
    run(move.source.forget, move.queue)
    assert run(move.live.store.client.execute, "TTL", head, key=head) == 86400


def test_a_queue_comes_back(move: Moving) -> None:
    fill(move.live)
    before = contents(move.live.store, move.queue)
    move.begin()
    move.copy()
    run(move.source.forget, move.queue)
    there = move.leave()
    run(move.source.forget, move.queue)
    back = Moving(there, move.live.store)
    back.begin()
    back.copy()
    assert contents(back.leave().store, move.queue) == before
    head = b"zg:{%016x}:head" % move.queue.incarnation
    assert run(move.live.store.client.execute, "TTL", head, key=head) == -1


def test_an_arriving_queue_is_not_there_yet(move: Moving) -> None:
    move.begin()
    here = move.live.through(move.store)
    run(move.store.create, move.queue)
    with pytest.raises(StaleQueue):
        here.post("early")
    assert contents(move.store, move.queue).keys() <= {"head"}


def test_a_queue_that_was_deleted_does_not_move(move: Moving) -> None:
    move.begin()
    move.live.post("noted")
    assert run(move.live.store.remove, move.queue)
    for call in (
        lambda: move.source.begin(move.queue, OTHER, TOKEN),
        lambda: move.source.copy(move.queue, TOKEN, "free", "", 0),
        lambda: move.source.depart(move.queue, TOKEN, "there"),
    ):
        with pytest.raises(StaleQueue):
            run(call)
    assert contents(move.live.store, move.queue).keys() == {"head"}


def test_a_store_is_told_from_others(
    stores: tuple[RedisStore, RedisStore], places: tuple[Place, Place]
) -> None:
    assert len({store.identity for store in stores}) == 2
    assert all(len(store.identity) == 32 for store in stores)
    with connected_to(places[0].url) as again:
        assert again.identity == stores[0].identity


def test_a_queue_that_only_the_catalog_has_can_move(stores: tuple[RedisStore, RedisStore]) -> None:
    queue = new_queue()
    moves = RedisMoves(stores[0])
    assert run(moves.begin, queue, TOKEN, b"") == (False, 0)
    assert run(moves.take, queue, TOKEN) == ([], 0)

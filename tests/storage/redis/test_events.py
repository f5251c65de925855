"""What the store announces: new messages, ended subscriptions, delays (storage/events.py)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import limits
from storage.events import Announced, DeliveriesChanged, Due, Ended, Event
from storage.records import DeadLetter
from storage.redis.client import ServerEvents
from storage.redis.events import RedisEvents
from storage.redis.posts import MAX_RECORDS
from tests.support.deliveries import Deliveries
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server, start_valkey
from tests.support.store import (
    PATIENCE,
    SECOND,
    LiveQueue,
    bodies,
    connected,
    numbers,
    post_together,
    put_on_timeline,
)


class Ear:
    """Listens, and keeps what it hears."""

    def __init__(self, url: str, timeout: float = PATIENCE) -> None:
        self.heard: list[tuple[int, Event]] = []
        self.listening: list[int] = []
        self._events = RedisEvents(
            reactor,
            url,
            timeout,
            lambda incarnation, event: self.heard.append((incarnation, event)),
            self.listening.append,
        )
        run(self._events.start)

    def listen(self, *queues: LiveQueue) -> None:
        """Listen, and wait until the server says so."""
        before = len(self.listening)
        for queue in queues:
            run(self._events.listen, queue.queue)
        wait_until(lambda: len(self.listening) == before + len(queues))

    def start_listening(self, queue: LiveQueue) -> None:
        run(self._events.listen, queue.queue)

    def leave(self, queue: LiveQueue) -> None:
        run(self._events.leave, queue.queue)

    def next(self, count: int = 1) -> list[Event]:
        """The next events, which are all there are."""
        wait_until(lambda: len(self.heard) >= count)
        heard = [event for _, event in self.heard]
        self.heard.clear()
        assert len(heard) == count, heard
        return heard

    def stop(self) -> None:
        run(self._events.stop)


@pytest.fixture
def ear(store_server: Server) -> Iterator[Ear]:
    ear = Ear(store_server.url)
    yield ear
    ear.stop()


def hint(event: Event) -> tuple[int, int, object]:
    """What was announced, but for the timeline."""
    assert isinstance(event, Announced)
    return event[:3]


def test_new_messages_are_announced_with_what_they_follow(ear: Ear, jobs: LiveQueue) -> None:
    ear.listen(jobs)
    posted = jobs.post("a", "b")
    (event,) = ear.next()
    assert hint(event) == (0, posted[1], [message for message in jobs.get(*posted) if message])
    (more,) = jobs.post("c")
    (event,) = ear.next()
    assert hint(event) == (posted[1], more, [jobs.one(more)])


def test_large_messages_are_announced_without_their_text(ear: Ear, jobs: LiveQueue) -> None:
    ear.listen(jobs)
    head = len(b'""') + 21
    (fits,) = jobs.post("x" * (4096 - head))
    (larger,) = jobs.post("x" * (4097 - head))
    many = jobs.post(*range(1000))
    first, second, third = ear.next(3)
    assert hint(first) == (0, fits, [jobs.one(fits)])
    assert hint(second) == (fits, larger, None)
    assert hint(third) == (larger, many[-1], None)


def test_what_is_stored_together_is_announced_with_its_messages(ear: Ear, jobs: LiveQueue) -> None:
    ear.listen(jobs)
    half = "x" * (MAX_RECORDS // 2 - len(b'""') - 21)
    post_together(jobs.store, *[(jobs.queue, [half])] * 3)
    events = ear.next(2)
    told = [event.messages for event in events if isinstance(event, Announced)]
    assert [None if messages is None else len(messages) for messages in told] == [2, 1]


def test_an_announcement_tells_its_timeline(ear: Ear, jobs: LiveQueue) -> None:
    ear.listen(jobs)
    for timeline in (b"", b"eternity", b"tomorrow"):
        put_on_timeline(jobs.store, timeline)
        jobs.post(1)
        (event,) = ear.next()
        assert isinstance(event, Announced)
        assert event.timeline == timeline


def test_a_delay_is_announced_and_then_its_message(ear: Ear, jobs: LiveQueue) -> None:
    ear.listen(jobs)
    posted = jobs.post("late", delay=10)
    jobs.post("sooner", delay=5)
    later, sooner = ear.next(2)
    assert isinstance(later, Due)
    assert later.due_in == pytest.approx(10, abs=0.001)
    assert isinstance(sooner, Due)
    assert sooner.due_in == pytest.approx(5, abs=0.001)
    swept = run(jobs.store.sweep, jobs.queue)
    assert swept.due_in == pytest.approx(5, abs=0.001)
    jobs.move_to(posted[0] + 10 * SECOND)
    swept = run(jobs.store.sweep, jobs.queue)
    (event,) = ear.next()
    assert isinstance(event, Announced)
    assert event.messages is not None
    assert bodies(event.messages) == ["sooner", "late"]
    assert [message.position for message in event.messages] == [jobs.now - 1, jobs.now]
    assert (swept.due_in, swept.visible, event.last) == (None, jobs.now, jobs.now)


def test_nothing_else_is_announced(ear: Ear, jobs: LiveQueue) -> None:
    jobs.post(*range(4), ttl=60)
    ear.listen(jobs)
    jobs.claim(ttl=600, limit=1)
    jobs.pop(limit=1)
    jobs.delete(jobs.page().messages[0].sequence)
    jobs.advance(60)
    jobs.counts()
    jobs.post("the end")
    (event,) = ear.next()
    assert isinstance(event, Announced)


def test_a_dead_letter_is_announced_where_it_arrives(ear: Ear, jobs: LiveQueue) -> None:
    dead = LiveQueue(jobs.store, "dead")
    ear.listen(jobs, dead)
    jobs.post("work")
    jobs.claim(dead_letter=DeadLetter(0, "dead", 60))
    (letter,) = run(jobs.store.waiting_dead_letters, jobs.queue, 1)
    run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)
    run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)
    run(jobs.store.forget_dead_letter, jobs.queue, letter)
    run(jobs.store.dead_letter_arrived, jobs.queue, letter, dead.queue)
    dead.post("the end")
    wait_until(lambda: len(ear.heard) == 3)
    told = [event.messages for incarnation, event in ear.heard if isinstance(event, Announced)]
    assert [bodies(messages) for messages in told if messages] == [["work"], ["work"], ["the end"]]
    assert told[1] == dead.page(limit=1).messages
    assert [incarnation for incarnation, _ in ear.heard] == [
        jobs.queue.incarnation,
        dead.queue.incarnation,
        dead.queue.incarnation,
    ]


def test_the_end_of_subscriptions_is_announced(ear: Ear, jobs: LiveQueue) -> None:
    ear.listen(jobs)
    made = [
        run(lambda name=name: jobs.store.subscribe(jobs.queue, name, 60, {}, confirmed=True))
        for name in ("http://a", "http://b", "http://c")
    ]
    a, b, c = (subscribed.sequence for subscribed in made if subscribed is not None)
    run(jobs.store.unsubscribe, jobs.queue, a)
    run(jobs.store.unsubscribe, jobs.queue, a)
    run(lambda: jobs.store.update_subscription(jobs.queue, b, options={"x": 1}))
    run(lambda: jobs.store.update_subscription(jobs.queue, b, subscriber="http://d"))
    jobs.advance(60)
    run(jobs.store.sweep, jobs.queue)
    assert ear.next(4) == [
        Ended(a, reason="deleted"),
        Ended(b, reason="deleted"),
        Ended(b, reason="expired"),
        Ended(c, reason="expired"),
    ]
    now = jobs.now
    jobs.purge(messages=False)
    assert run(jobs.store.remove, jobs.queue) is True
    assert ear.next(2) == [
        Ended(None, now, "purged"),
        Ended(None, limits.SAFE_INTEGER, "queue_deleted"),
    ]


def test_each_queue_has_its_own_channel(ear: Ear, jobs: LiveQueue) -> None:
    other = LiveQueue(jobs.store, "jobs")
    ear.listen(jobs, other)
    ear.leave(jobs)
    ear.leave(jobs)
    jobs.post("unheard")
    other.post("heard")
    ear.next()
    ear.listen(jobs)
    jobs.post("heard again")
    ear.next()


def test_the_connection_is_made_anew_and_listens_again(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server:
        ear = Ear(server.url)
        with connected(server) as store:
            jobs = LiveQueue(store)
            ear.listen(jobs)
        server.kill()
        server.restart()
        wait_until(lambda: ear.listening == [jobs.queue.incarnation] * 2)
        with connected(server) as store:
            again = LiveQueue(store)
            ear.listen(again)
            again.post("heard")
            ear.next()
        ear.stop()


def test_a_server_that_stalls_is_given_up(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server:
        ear = Ear(server.url, timeout=1)
        with connected(server) as store:
            jobs = LiveQueue(store)
            ear.listen(jobs)
            # It answers the pings of a connection that is idle: nothing is given up.
            run(jobs.store.client.execute, "CONFIG", "RESETSTAT")
            pings = server.client()
            wait_until(lambda: pings.info("commandstats").get("cmdstat_ping", {}).get("calls", 0) >= 3)
            assert len(ear.listening) == 1
            os.kill(server.pid, signal.SIGSTOP)
            client = ear._events._client
            assert isinstance(client, ServerEvents)
            connection = client.link.connection
            wait_until(lambda: client.link.connection is not connection)
            os.kill(server.pid, signal.SIGCONT)
            wait_until(lambda: len(ear.listening) > 1)
            jobs.post("heard")
            wait_until(lambda: bool(ear.heard))
            assert numbers(jobs.page().messages)
        ear.stop()


def test_a_channel_that_is_refused_is_not_taken_as_listened_to(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        admin = server.client()
        admin.execute_command("ACL", "SETUSER", "node", "on", ">pw", "+@all", "~*", "resetchannels")
        ear = Ear(f"unix://node:pw@{server.socket_path}")
        jobs = LiveQueue(store)
        ear.start_listening(jobs)
        before = admin.info("stats")["total_connections_received"]
        wait_until(lambda: admin.info("stats")["total_connections_received"] > before + 1)
        assert ear.listening == []
        admin.execute_command("ACL", "SETUSER", "node", "allchannels")
        wait_until(lambda: ear.listening != [])
        jobs.post("heard")
        ear.next()
        ear.stop()


def test_a_wrong_password_is_tried_again(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        admin = server.client()
        ear = Ear(f"unix://node:pw@{server.socket_path}")
        jobs = LiveQueue(store)
        ear.start_listening(jobs)
        before = admin.info("stats")["total_connections_received"]
        wait_until(lambda: admin.info("stats")["total_connections_received"] > before + 1)
        assert ear.listening == []
        admin.execute_command("ACL", "SETUSER", "node", "on", ">pw", "+@all", "~*", "allchannels")
        wait_until(lambda: ear.listening != [])
        ear.stop()


def test_changes_of_deliveries_are_announced(ear: Ear, jobs: LiveQueue) -> None:
    hooks = Deliveries(jobs).own()
    first = hooks.subscribe("http://first", 60)
    ear.listen(jobs)
    hook = hooks.subscribe()
    hooks.update(hook, options={"a": 1})
    assert ear.next(2) == [DeliveriesChanged(hook)] * 2
    hooks.update(hook, subscriber="http://there", deliver=True)
    assert ear.next(2) == [Ended(hook, reason="deleted"), DeliveriesChanged(hook)]
    hooks.unsubscribe(hook)
    assert ear.next(2) == [Ended(hook, reason="deleted"), DeliveriesChanged(hook)]
    jobs.advance(60)
    jobs.stats()
    assert ear.next(2) == [Ended(first, reason="expired"), DeliveriesChanged(first)]
    hooks.subscribe()
    jobs.purge(messages=False)
    *_, ended, changed = ear.next(3)
    assert isinstance(ended, Ended)
    assert changed == DeliveriesChanged(None)


def test_sockets_are_no_deliveries(ear: Ear, jobs: LiveQueue) -> None:
    Deliveries(jobs).own()
    ear.listen(jobs)
    made = run(lambda: jobs.store.subscribe(jobs.queue, "ws-1", 60, {}, confirmed=True))
    assert made is not None
    run(lambda: jobs.store.update_subscription(jobs.queue, made.sequence, ttl=70))
    run(jobs.store.unsubscribe, jobs.queue, made.sequence)
    jobs.purge()
    ended, purged = ear.next(2)
    assert ended == Ended(made.sequence, reason="deleted")
    assert isinstance(purged, Ended)


def test_what_is_delivered_is_not_announced(ear: Ear, jobs: LiveQueue) -> None:
    hooks = Deliveries(jobs).own()
    hook = hooks.subscribe()
    first, second = jobs.post(1, 2)
    ear.listen(jobs)
    hooks.delivered(hook, first)
    hooks.postponed(hook, 1)
    hooks.failed(hook, second)
    hooks.page(hook, second)
    jobs.post("last")
    assert isinstance(ear.next()[0], Announced)

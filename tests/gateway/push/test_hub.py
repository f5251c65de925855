"""Who is subscribed on a node: feeds come, go, and hear of every end of a subscription."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThread

from gateway.push import hub as hub_module
from storage.errors import OutcomeUnknown, StaleQueue, StoreUnavailable
from storage.records import Subscribed
from storage.redis.store import RedisStore
from tests.support.hub import Node, Socket
from tests.support.reactor import eventually, run
from tests.support.servers import start_valkey
from tests.support.store import SECOND, new_queue


def test_every_subscriber_gets_every_message_once_and_in_order(node: Node) -> None:
    sockets = [Socket() for _ in range(3)]

    async def scenario() -> None:
        for socket in sockets:
            await node.subscribe(socket)
        await node.post(*range(50))
        await eventually(lambda: all(len(socket.numbers) == 50 for socket in sockets))
        assert all(socket.numbers == list(range(50)) for socket in sockets)
        assert node.pushed == 150

    run(scenario)


def test_who_comes_later_gets_what_comes_later(node: Node) -> None:
    early, late = Socket(), Socket()

    async def scenario() -> None:
        await node.subscribe(early)
        await node.post(1, 2)
        await node.subscribe(late)
        await node.post(3)
        await eventually(lambda: early.numbers == [1, 2, 3] and late.numbers == [3])

    run(scenario)


def test_messages_too_large_to_be_announced_are_read(node: Node) -> None:
    socket = Socket()

    async def scenario() -> None:
        await node.subscribe(socket)
        await node.post(*range(1000), size=500)
        await eventually(lambda: socket.numbers == list(range(1000)))

    run(scenario)


def test_a_socket_that_is_slow_gets_all_later(node: Node) -> None:
    slow, quick = Socket(), Socket()

    async def scenario() -> None:
        await node.subscribe(slow)
        await node.subscribe(quick)
        slow.willing = False
        await node.post(*range(300))
        await eventually(lambda: quick.numbers == list(range(300)))
        assert slow.numbers == []
        slow.willing = True
        node.hub.writable(slow)
        node.hub.writable(slow)  # told twice, it still reads once
        await node.post(300)
        await eventually(lambda: slow.numbers == list(range(301)))

    run(scenario)


def test_a_delayed_message_is_pushed_when_its_delay_ends(node: Node) -> None:
    socket = Socket()

    async def scenario() -> None:
        await node.subscribe(socket)
        await node.post(1, delay=60)
        await node.post(2)
        await eventually(lambda: socket.numbers == [2])
        node.store.scripts.clock_offset = 61 * SECOND
        await node.store.sweep(node.queue)  # the node's own timer is set by the clock on the wall
        await eventually(lambda: socket.numbers == [2, 1])

    run(scenario)


def test_a_second_subscription_of_a_socket_is_refused(node: Node) -> None:
    socket = Socket()

    async def scenario() -> None:
        assert await node.subscribe(socket) is not None
        assert await node.subscribe(socket) is None
        await node.post(1)
        await eventually(lambda: socket.numbers == [1])

    run(scenario)


@pytest.mark.parametrize("end", ["unsubscribe", "purge", "remove", "expiry", "another subscriber"])
def test_a_subscription_that_ended_gets_nothing_more(node: Node, end: str) -> None:
    socket, other = Socket(), Socket()

    async def scenario() -> None:
        sequence = await node.subscribe(socket, ttl=60)
        assert sequence is not None
        await node.post(1)
        await eventually(lambda: socket.numbers == [1])
        store, queue = node.store, node.queue
        if end == "unsubscribe":
            await store.unsubscribe(queue, sequence)
        elif end == "purge":
            await store.purge(queue, messages=False, subscriptions=True)
        elif end == "remove":
            await store.remove(queue)
            node.queue = await node.new_queue("other")
        elif end == "expiry":
            store.scripts.clock_offset = 61 * SECOND
        else:
            await store.update_subscription(queue, sequence, subscriber="http://elsewhere/")
        await node.subscribe(other)
        await node.post(2)
        await eventually(lambda: other.numbers == [2])
        assert socket.numbers == [1]

    run(scenario)


def test_a_socket_that_closes_leaves_nothing(node: Node) -> None:
    socket = Socket()

    async def scenario() -> None:
        await node.subscribe(socket)
        socket.closed = True
        node.hub.closed(socket)

        async def gone() -> bool:
            return not await node.store.list_subscriptions(node.queue, 0, 10)

        await eventually(gone)
        assert not node.hub._feeds
        assert not node.hub._sinks

    run(scenario)


def test_a_socket_that_closed_while_it_subscribed_leaves_nothing(node: Node) -> None:
    socket = Socket(closed=True)

    async def scenario() -> None:
        await node.subscribe(socket)

        async def gone() -> bool:
            return not await node.store.list_subscriptions(node.queue, 0, 10)

        await eventually(gone)
        assert not node.hub._sinks

    run(scenario)


def test_a_queue_that_is_not_in_the_store_is_told(node: Node) -> None:
    async def scenario() -> None:
        with pytest.raises(StaleQueue):
            await node.subscribe(Socket(), new_queue())
        assert not node.hub._feeds

    run(scenario)


def test_without_announcements_nobody_can_subscribe(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "READY", 0.1)

    async def scenario() -> None:
        await node.events.stop()
        with pytest.raises(StoreUnavailable):
            await node.subscribe(Socket())
        assert not node.hub._feeds
        assert await node.store.list_subscriptions(node.queue, 0, 10) == []

    run(scenario)


def test_a_store_that_is_away_ends_no_feed(tmp_path: Path) -> None:
    socket = Socket()
    server = start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always")
    node = Node(server, tmp_path)

    async def scenario() -> None:
        await node.subscribe(socket)
        socket.willing = False
        await node.post(1, 2, 3)
        feed = node.hub._feeds[node.queue.incarnation]
        await eventually(lambda: bool(feed._replays._behind))
        server.kill()
        socket.willing = True
        node.hub.writable(socket)
        await eventually(lambda: bool(feed.followed.tasks._timers))  # it tries again later
        await deferToThread(server.restart)
        await eventually(lambda: socket.numbers == [1, 2, 3])

    with server:
        run(node.start)
        run(scenario)
        run(node.stop)


@pytest.mark.parametrize("purge_first", [True, False])
def test_a_purge_and_a_subscription_that_cross_agree(node: Node, purge_first: bool) -> None:
    """Announcements and answers come on two connections: either may overtake the other."""
    watcher = Socket()

    async def cross(socket: Socket) -> bool:
        subscribe = node.subscribe(socket)
        purge = node.store.purge(node.queue, messages=False, subscriptions=True)
        both = [purge, subscribe] if purge_first else [subscribe, purge]
        under_way: list[Deferred[Any]] = [Deferred.fromCoroutine(each) for each in both]
        await DeferredList(under_way, fireOnOneErrback=True)
        stored = await node.store.list_subscriptions(node.queue, 0, 200)
        return any(each.subscriber == socket.subscriber for each in stored)

    async def scenario() -> None:
        await node.subscribe(watcher)
        await cross(Socket())  # a script's first call is sent twice, the second time behind the other
        await node.subscribe(watcher)
        for number in range(60):
            socket = Socket()
            stands = await cross(socket)
            assert stands == purge_first
            await node.subscribe(watcher)
            await node.post(number)
            await eventually(lambda: number in watcher.numbers)  # noqa: B023  # awaited in the same round
            assert bool(socket.numbers) == stands, number
            node.hub.closed(socket)

    run(scenario)


class Forgetful(RedisStore):
    """A store whose answers to `subscribe` are lost, after it was done."""

    async def subscribe(self, *arguments: Any, **options: Any) -> Subscribed | None:
        await super().subscribe(*arguments, **options)
        raise OutcomeUnknown("The connection broke.")


def test_a_subscription_whose_answer_was_lost_can_be_made_again(node: Node) -> None:
    socket = Socket()

    async def scenario() -> None:
        node.store.__class__ = Forgetful
        with pytest.raises(OutcomeUnknown):
            await node.subscribe(socket)
        node.store.__class__ = RedisStore
        assert await node.subscribe(socket) is not None
        await node.post(1)
        await eventually(lambda: socket.numbers == [1])

    run(scenario)


def test_a_purge_that_was_not_heard_is_found_out(node: Node) -> None:
    socket, other = Socket(), Socket()

    async def scenario() -> None:
        await node.subscribe(socket)
        node.deaf = True
        await node.store.purge(node.queue, messages=False, subscriptions=True)
        await node.store.client.execute("CLIENT", "KILL", "TYPE", "pubsub")
        node.deaf = False
        await eventually(lambda: not node.hub._feeds)
        await node.subscribe(other)
        await node.post(1)
        await eventually(lambda: other.numbers == [1])
        assert socket.numbers == []

    run(scenario)

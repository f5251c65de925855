"""What extended sockets are told beside messages, and what a store that lost writes costs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from storage.records import NewMessage, Page, Queue, Start, Subscribed
from tests.support.hub import Node, Socket
from tests.support.reactor import eventually, run
from tests.support.servers import start_valkey
from tests.support.store import ALICE, SECOND, text


def test_who_falls_behind_is_told_and_when_it_has_caught_up(node: Node) -> None:
    slow, plain = Socket(extended=True), Socket()

    async def scenario() -> None:
        await node.subscribe(slow)
        await node.subscribe(plain)
        await node.post(0)
        await eventually(lambda: slow.numbers == [0])
        slow.willing = plain.willing = False
        await node.post(*range(1, 30))
        await eventually(lambda: bool(slow.events))
        slow.willing = plain.willing = True
        node.hub.writable(slow)
        node.hub.writable(plain)
        await eventually(lambda: slow.came[-1] == "caught_up" and len(plain.numbers) == 30)
        await node.post(30)
        await eventually(lambda: slow.numbers == list(range(31)))
        assert slow.came == ["message", "behind", *["message"] * 29, "caught_up", "message"]
        assert [event["queue_name"] for event in slow.events] == ["jobs", "jobs"]

    run(scenario)


def test_a_resume_is_not_told_as_being_behind(node: Node) -> None:
    socket, live = Socket(extended=True), Socket(extended=True)

    async def scenario() -> None:
        await node.subscribe(live)
        await node.post(*range(300), size=100)
        await eventually(lambda: len(live.numbers) == 300)
        made = await node.resume(socket, Start(live.markers[9]))
        assert made is not None
        assert (made.position, made.gap) == (live.markers[9], None)
        await eventually(lambda: socket.numbers == list(range(10, 300)))
        await node.post(300)
        await eventually(lambda: socket.numbers == list(range(10, 301)))
        assert socket.events == live.events == []

    run(scenario)


def test_what_was_forbidden_while_it_was_subscribed_ends(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    socket, subscribe = Socket(extended=True), node.store.subscribe

    async def forbid(*arguments: Any, **options: Any) -> Subscribed | None:
        socket.permitted = False
        node.hub.end_all_forbidden()  # knows nothing of it yet
        return await subscribe(*arguments, **options)

    async def scenario() -> None:
        monkeypatch.setattr(node.store, "subscribe", forbid)
        sequence = await node.subscribe(socket)
        assert [event["reason"] for event in socket.events] == ["not_permitted"]
        assert sequence is not None
        assert await node.store.get_subscription(node.queue, sequence) is None
        assert node.hub.count(socket) == 0

    run(scenario)


def test_a_subscription_that_expires_is_told(node: Node) -> None:
    socket, other = Socket(extended=True), Socket()

    async def scenario() -> None:
        await node.subscribe(socket, ttl=60)
        node.store.scripts.clock_offset = 61 * SECOND
        await node.subscribe(other)
        await eventually(lambda: bool(socket.events))
        assert socket.events[0]["event"] == "subscription_ended"
        assert socket.events[0]["reason"] == "expired"

    run(scenario)


def test_one_that_ended_while_nobody_listened_is_told_without_a_reason(node: Node) -> None:
    socket = Socket(extended=True)

    async def scenario() -> None:
        sequence = await node.subscribe(socket)
        assert sequence is not None
        node.deaf = True
        await node.store.unsubscribe(node.queue, sequence)
        node.hub.listening(node.queue.incarnation)
        await eventually(lambda: bool(socket.events))
        assert socket.events[0]["reason"] == "unknown"

    run(scenario)


@pytest.mark.parametrize("behind", [False, True])
def test_what_the_store_lost_is_told_and_nothing_is_repeated(
    tmp_path: Path, behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that comes back from a snapshot has lost writes just as one has that took over too early."""
    server = start_valkey(tmp_path / "store")
    node = Node(server, tmp_path)
    extended, plain = Socket(extended=True), Socket()

    list_messages = node.store.list_messages

    async def list_late(queue: Queue, start: Start, *arguments: Any, **options: Any) -> Page:
        """What the slow socket's read brings is overtaken by the news that it may be lost."""
        page = await list_messages(queue, start, *arguments, **options)
        if start.number == extended.markers[3]:
            await eventually(lambda: "gap" in extended.came)
        return page

    async def scenario() -> None:
        await node.subscribe(plain)
        await node.subscribe(extended)
        await node.post(1, 2)
        await eventually(lambda: extended.numbers == [1, 2])
        await deferToThread(server.client().save)
        node.deaf = True
        await node.post(3)
        node.deaf = False
        node.hub.listening(node.queue.incarnation)
        await eventually(lambda: extended.numbers == [1, 2, 3])  # it was read
        await node.post(4)
        await eventually(lambda: extended.numbers == [1, 2, 3, 4])
        if behind:
            extended.willing = False
            await node.post(5)
            await eventually(lambda: plain.numbers == [1, 2, 3, 4, 5] and bool(extended.events))
            monkeypatch.setattr(node.store, "list_messages", list_late)
        server.kill()
        await deferToThread(server.restart)
        extended.willing = True
        node.hub.writable(extended)
        await eventually(lambda: "gap" in extended.came)
        (gap,) = [event for event in extended.events if event["event"] == "gap"]
        assert gap == {
            "event": "gap",
            "queue_name": "jobs",
            "from": str(extended.markers[1]),
            "to": gap["to"],
            "reason": "failover",
        }
        if not behind:
            assert int(gap["to"]) == extended.markers[3]
        # A server whose clock is behind gives new messages the places of lost ones.
        node.store.scripts.clock_offset = -(1 << 52)
        await node.store.post(node.queue, [NewMessage(text(6), 3600), NewMessage(text(7), 3600)], ALICE)
        await eventually(lambda: extended.numbers == [1, 2, 3, 4, 6, 7])
        assert extended.markers[4] < int(gap["to"])
        await eventually(lambda: plain.numbers[-2:] == [6, 7])
        node.store.scripts.clock_offset = 0
        late = Socket(extended=True)
        made = await node.resume(late, Start(extended.markers[3]))
        assert isinstance(made, Subscribed)

    with server:
        run(node.start)
        run(scenario)
        run(node.stop)

"""Leased messages are pushed to consumers of several nodes: bounded, in turns, only when there is work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from gateway.push import consumers as consumers_module
from gateway.push.dispatcher import BATCH
from protocol.errors import BadRequest
from schemas import limits
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import OutcomeUnknown, StaleQueue, StoreUnavailable
from storage.mover import Mover
from storage.pools import Pool
from storage.records import Leased, NewMessage, Queue
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.support.consumers import Node, Socket, sequence_of
from tests.support.reactor import eventually, reactor, run, sleep
from tests.support.servers import Server, start_valkey
from tests.support.store import ALICE, PATIENCE, new_queue, text


class Nodes:
    """Two nodes and a queue."""

    def __init__(self, url: str, folder: Path) -> None:
        self.catalog = SQLCatalog(reactor, sqlite_url(folder / "catalog.sqlite"))
        self.one, self.other = [Node(url, self.catalog) for _ in range(2)]
        self.queue: Queue

    async def start(self) -> None:
        await self.catalog.start(upgrade=True)
        for node in (self.one, self.other):
            await node.start()
        self.queue, _ = await self.one.router.ensure("project", "jobs")

    async def stop(self) -> None:
        for node in (self.one, self.other):
            await node.stop()
        await self.catalog.stop()

    async def post(self, *values: Any, delay: int = 0) -> list[int]:
        messages = [NewMessage(text(value), 3600, delay) for value in values]
        return await self.one.store.post(self.queue, messages, ALICE)

    async def delete(self, socket: Socket, *bodies: Any) -> None:
        """Acknowledge messages that the socket has got."""
        numbers = [sequence_of(message) for message in socket.messages() if message["body"] in bodies]
        await self.other.store.delete_messages(self.queue, numbers, None)

    async def counts(self) -> tuple[int, int]:
        """How many messages are free, and how many are claimed."""
        stats = await self.one.store.stats(self.queue)
        return stats.free, stats.claimed


@pytest.fixture
def nodes(valkey: Server, tmp_path: Path) -> Iterator[Nodes]:
    valkey.client().flushall()
    nodes = Nodes(valkey.url, tmp_path)
    run(nodes.start)
    yield nodes
    run(nodes.stop)


def on(nodes: Nodes, scenario: Callable[[Nodes], Awaitable[None]]) -> None:
    run(scenario, nodes)


def test_what_is_posted_is_pushed_up_to_the_credit(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.post("before")
        await nodes.one.subscribe(socket, nodes.queue, credit=3)
        await eventually(lambda: socket.bodies == ["before"])
        await nodes.post(1, 2, 3, 4)
        await eventually(lambda: socket.bodies == ["before", 1, 2])
        await nodes.delete(socket, "before", 2)
        await eventually(lambda: socket.bodies == ["before", 1, 2, 3, 4])
        await nodes.post(5)
        assert await nodes.counts() == (1, 3)
        assert nodes.one.pushed == 5

    on(nodes, scenario)


def test_many_messages_come_in_order_and_once(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.post(*range(3 * BATCH + 1))
        await nodes.one.subscribe(socket, nodes.queue, credit=1000)
        await eventually(lambda: socket.bodies == list(range(3 * BATCH + 1)))
        assert len(socket.events) == 4

    on(nodes, scenario)


def test_what_comes_is_divided_among_those_who_wait(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        sockets = [Socket() for _ in range(4)]
        for socket in sockets:
            await nodes.one.subscribe(socket, nodes.queue, credit=10)
        await nodes.post(*range(4))
        await eventually(lambda: all(len(socket.bodies) == 1 for socket in sockets))
        await nodes.post(4)
        await nodes.post(5)
        await eventually(lambda: sorted(len(socket.bodies) for socket in sockets) == [1, 1, 2, 2])

    on(nodes, scenario)


def test_work_that_is_given_back_goes_to_another_node(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        here, there = Socket(), Socket()
        claim = await nodes.one.subscribe(here, nodes.queue, credit=2)
        await nodes.post(1, 2)
        await eventually(lambda: here.bodies == [1, 2])
        await nodes.other.subscribe(there, nodes.queue, credit=2)
        await nodes.one.unsubscribe(here, nodes.queue, claim)
        await eventually(lambda: there.bodies == [1, 2])
        assert [message["claim_count"] for message in there.messages()] == [2, 2]
        await nodes.post(3)
        assert here.bodies == [1, 2]

    on(nodes, scenario)


def test_a_lease_that_ends_wakes_who_waits(nodes: Nodes) -> None:
    """By the node's timer alone: nobody else looks at the queue."""

    async def scenario(nodes: Nodes) -> None:
        lazy, keen = Socket(), Socket()
        claim = await nodes.one.subscribe(lazy, nodes.queue, credit=1)
        await nodes.post("work")
        await eventually(lambda: lazy.bodies == ["work"])
        await nodes.one.store.update_claim(nodes.queue, claim, 3, 60)
        nodes.one.consumers.leave(lazy, nodes.queue, claim)  # without giving back what it holds
        await nodes.other.subscribe(keen, nodes.queue, credit=1)
        assert keen.bodies == []
        await eventually(lambda: keen.bodies == ["work"])

    on(nodes, scenario)


def test_a_delay_that_ends_wakes_who_waits(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.other.subscribe(socket, nodes.queue, credit=1)
        await nodes.post("late", delay=1)
        await eventually(lambda: socket.bodies == ["late"])

    on(nodes, scenario)


def test_a_socket_that_takes_no_more_gets_the_rest_later(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.one.subscribe(socket, nodes.queue, credit=50)
        await nodes.post("first")
        await eventually(lambda: socket.bodies == ["first"])
        socket.willing = False
        await nodes.post(*range(30))

        async def leased() -> bool:
            return (await nodes.counts())[1] > 1

        await eventually(leased)
        await nodes.post("more")
        assert (await nodes.counts())[1] <= 1 + BATCH, "nothing more is leased meanwhile"
        socket.willing = True
        nodes.one.consumers.writable(socket)
        nodes.one.consumers.writable(socket)
        await eventually(lambda: socket.bodies == ["first", *range(30), "more"])

    on(nodes, scenario)


def test_a_lost_answer_is_made_good(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.one.subscribe(socket, nodes.queue, credit=5)
        await nodes.post(0)
        await eventually(lambda: socket.bodies == [0])
        nodes.one.store.losing = 1
        await nodes.post(1, 2)
        await nodes.post(3, 4, 5)
        await eventually(lambda: socket.bodies == [0, 1, 2, 3, 4])
        assert await nodes.counts() == (1, 5)

    on(nodes, scenario)


def test_a_message_that_was_given_back_is_pushed_again_though_the_answer_was_lost(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        claim = await nodes.one.subscribe(socket, nodes.queue, credit=5)
        posted = await nodes.post(0)
        await eventually(lambda: socket.bodies == [0])
        nodes.one.store.losing = 1
        await nodes.other.store.release_messages(nodes.queue, posted, claim)
        await eventually(lambda: [message["claim_count"] for message in socket.messages()] == [1, 2])

    on(nodes, scenario)


@pytest.mark.parametrize("where", ["here", "there"])
def test_who_comes_back_goes_on_with_what_was_held(nodes: Nodes, where: str) -> None:
    async def scenario(nodes: Nodes) -> None:
        first, second, other = Socket(), Socket(), Socket()
        claim = await nodes.one.subscribe(first, nodes.queue, credit=3)
        await nodes.post(1, 2, 3, 4)
        await eventually(lambda: first.bodies == [1, 2, 3])
        nodes.one.close(first)
        back = nodes.one if where == "here" else nodes.other
        await back.subscribe(second, nodes.queue, credit=3, claim=claim)
        await eventually(lambda: second.bodies == [1, 2, 3])
        assert [message["claim_count"] for message in second.messages()] == [1, 1, 1]
        await nodes.other.subscribe(other, nodes.queue, credit=9)
        await eventually(lambda: other.bodies == [4])
        held = await nodes.one.store.get_claim(nodes.queue, claim)
        assert held is not None
        assert held.ttl == 60, "it does not end with the grace of the socket that closed"

    on(nodes, scenario)


def test_a_socket_that_does_not_come_back_gives_all_back(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes.one.consumers, "_grace", 0.2)

    async def scenario(nodes: Nodes) -> None:
        first, other = Socket(), Socket()
        await nodes.one.subscribe(first, nodes.queue, credit=3)
        await nodes.post(1, 2)
        await eventually(lambda: first.bodies == [1, 2])
        await nodes.other.subscribe(other, nodes.queue, credit=9)
        nodes.one.close(first)
        await eventually(lambda: other.bodies == [1, 2])

    on(nodes, scenario)


@pytest.mark.parametrize("answered", [True, False])
def test_what_is_leased_to_a_socket_that_has_closed_meanwhile_is_given_back(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    monkeypatch.setattr(nodes.one.consumers, "_grace", 0.2)
    lease = nodes.one.store.lease
    first, other = Socket(), Socket()

    async def lease_late(*arguments: Any) -> Leased | None:
        leased = await lease(*arguments)
        if leased is None or not leased.messages:
            return leased
        nodes.one.close(first)
        if not answered:
            raise OutcomeUnknown("The connection broke.")
        return leased

    async def scenario(nodes: Nodes) -> None:
        monkeypatch.setattr(nodes.one.store, "lease", lease_late)
        await nodes.one.subscribe(first, nodes.queue, credit=3)
        await nodes.post(1, 2)
        await eventually(lambda: first.closed)
        await nodes.other.subscribe(other, nodes.queue, credit=9)
        await eventually(lambda: other.bodies == [1, 2])
        assert first.bodies == []

    on(nodes, scenario)


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_claim_that_is_taken_over_ends_where_it_was(nodes: Nodes, where: str) -> None:
    async def scenario(nodes: Nodes) -> None:
        first, second = Socket(), Socket()
        claim = await nodes.one.subscribe(first, nodes.queue, credit=3)
        await nodes.post(1)
        await eventually(lambda: first.bodies == [1])
        taker = nodes.one if where == "here" else nodes.other
        await taker.subscribe(second, nodes.queue, credit=3, claim=claim)
        await eventually(lambda: second.bodies == [1] and first.endings == ["taken_over"])
        await nodes.post(2)
        await eventually(lambda: second.bodies == [1, 2])
        nodes.one.close(first)
        await nodes.post(3)
        await eventually(lambda: second.bodies == [1, 2, 3])
        assert second.endings == []

    on(nodes, scenario)


def test_a_consumer_changes_its_credit(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        claim = await nodes.one.subscribe(socket, nodes.queue, credit=1)
        await nodes.post(1, 2, 3)
        await eventually(lambda: socket.bodies == [1])
        await nodes.one.subscribe(socket, nodes.queue, credit=3, claim=claim)
        await eventually(lambda: socket.bodies == [1, 1, 2, 3])
        assert socket.endings == []

    on(nodes, scenario)


def test_consumers_end_with_their_queue(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        open_one, slow = Socket(), Socket()
        for socket in (open_one, slow):
            await nodes.one.subscribe(socket, nodes.queue, credit=1)
        slow.willing = False
        await nodes.other.router.remove("project", "jobs", _nothing_to_drain)
        await eventually(lambda: open_one.endings == ["queue_deleted"])
        await eventually(lambda: not nodes.one.consumers._dispatchers)
        slow.willing = True
        nodes.one.consumers.writable(slow)
        assert slow.endings == ["queue_deleted"]

    on(nodes, scenario)


async def _nothing_to_drain(*_: object) -> None:
    raise AssertionError("there are no dead letters")


def test_consumers_follow_a_queue_that_moves(nodes: Nodes, redis7: Server) -> None:
    redis7.client().flushall()

    async def scenario(nodes: Nodes) -> None:
        full, idle = Socket(), Socket()
        claim = await nodes.one.subscribe(full, nodes.queue, credit=2)
        await nodes.post(1, 2)
        await eventually(lambda: full.bodies == [1, 2])
        await nodes.other.subscribe(idle, nodes.queue, credit=9)
        await nodes.catalog.create_pool(Pool("there", redis7.url, weight=0))
        target = RedisStore(reactor, redis7.url, PATIENCE)
        await target.start(PATIENCE)
        await Mover(reactor, nodes.catalog, RedisMoves(nodes.one.store), RedisMoves(target)).run(
            nodes.queue, "there"
        )
        moved = replace(nodes.queue, pool="there")
        await target.post(moved, [NewMessage(text(3), 3600)], ALICE)
        await eventually(lambda: idle.bodies == [3])
        held = await target.get_claim(moved, claim)
        assert held is not None
        await target.delete_message(moved, held.messages[0].sequence, claim)
        await target.post(moved, [NewMessage(text(number), 3600) for number in (4, 5)], ALICE)
        await eventually(lambda: len(full.bodies) + len(idle.bodies) == 5)
        assert full.endings == idle.endings == []
        await target.stop()

    on(nodes, scenario)


def test_idle_consumers_cost_no_commands(nodes: Nodes, valkey: Server) -> None:
    client = valkey.client()

    def commands() -> dict[str, int]:
        stats = client.info("commandstats")
        ours = {name: row["calls"] for name, row in stats.items()}
        return {name: calls for name, calls in ours.items() if "info" not in name and "ping" not in name}

    async def at_rest() -> dict[str, int]:
        """What was asked when at last nothing is asked for a second."""
        seen = [await deferToThread(commands)]

        async def stands_still() -> bool:
            seen.append(await deferToThread(commands))
            return seen[-1] == seen[-2]

        await sleep(1)
        await eventually(stands_still, interval=1)
        return seen[-1]

    async def scenario(nodes: Nodes) -> None:
        sockets = [Socket() for _ in range(50)]
        for i, socket in enumerate(sockets):
            await (nodes.one, nodes.other)[i % 2].subscribe(socket, nodes.queue, credit=5)
        await nodes.post("work")
        await eventually(lambda: any(socket.bodies for socket in sockets))
        before = await at_rest()
        leases = before["cmdstat_evalsha"]
        await nodes.post("more")
        await eventually(lambda: sum(len(socket.bodies) for socket in sockets) == 2)
        after = await at_rest()
        # The post, and of each node at most one call for the message and one that finds nothing more.
        assert after["cmdstat_evalsha"] - leases <= 5

    on(nodes, scenario)


def test_missed_announcements_are_made_good(nodes: Nodes, valkey: Server) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.other.subscribe(socket, nodes.queue, credit=2)
        await nodes.post(0)
        await eventually(lambda: socket.bodies == [0])
        for number in range(1, 20):
            await nodes.other.store.client.execute("CLIENT", "KILL", "TYPE", "pubsub")
            await nodes.post(number)
            await nodes.delete(socket, number - 1)
            await eventually(lambda: socket.bodies[-1] == number)  # noqa: B023  # awaited in the same round
        assert socket.bodies == list(range(20))

    on(nodes, scenario)


def test_a_socket_has_a_bounded_number_of_consumers(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        claims = [
            await nodes.one.subscribe(socket, nodes.queue, credit=1)
            for _ in range(limits.CONSUMERS_PER_SOCKET)
        ]
        with pytest.raises(BadRequest, match="100 consumers"):
            await nodes.one.subscribe(socket, nodes.queue, credit=1)
        await nodes.one.unsubscribe(socket, nodes.queue, claims[0])
        await nodes.one.subscribe(socket, nodes.queue, credit=1)

    on(nodes, scenario)


def test_what_was_acknowledged_elsewhere_is_forgotten(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.one.subscribe(socket, nodes.queue, credit=20)
        for number in range(0, 400, 10):
            await nodes.post(*range(number, number + 10))
            await eventually(lambda: len(socket.bodies) == number + 10)  # noqa: B023  # as above
            await nodes.delete(socket, *range(number, number + 10))
        assert socket.bodies == list(range(400))
        (workers,) = nodes.one.consumers._sinks.values()
        (worker,) = workers.values()
        assert len(worker._pushed) < 200

    on(nodes, scenario)


def test_a_closed_socket_leaves_nothing(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        socket, late = Socket(), Socket(closed=True)
        await nodes.one.subscribe(socket, nodes.queue, credit=1)
        await nodes.one.subscribe(late, nodes.queue, credit=1)
        nodes.one.close(socket)
        await eventually(lambda: not nodes.one.consumers._lapses._lapsing)
        assert not nodes.one.consumers._dispatchers
        assert not nodes.one.consumers._sinks
        assert not nodes.one.consumers._untold

    on(nodes, scenario)


def test_a_queue_that_is_not_in_the_store_is_told(nodes: Nodes) -> None:
    async def scenario(nodes: Nodes) -> None:
        with pytest.raises(StaleQueue):
            await nodes.one.subscribe(Socket(), new_queue(), credit=1)
        assert not nodes.one.consumers._dispatchers

    on(nodes, scenario)


def test_without_announcements_nobody_can_subscribe(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers_module, "READY", 0.1)

    async def scenario(nodes: Nodes) -> None:
        await nodes.one.events.stop()
        with pytest.raises(StoreUnavailable):
            await nodes.one.subscribe(Socket(), nodes.queue, credit=1)
        assert not nodes.one.consumers._dispatchers

    on(nodes, scenario)


def test_a_store_that_was_away_is_asked_again(tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always")

    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        await nodes.one.subscribe(socket, nodes.queue, credit=5)
        await nodes.post(1, 2)
        await eventually(lambda: socket.bodies == [1, 2])
        server.kill()
        await deferToThread(server.restart)

        async def posted() -> bool:
            try:
                await nodes.post(3)
            except StoreUnavailable:
                return False
            return True

        await eventually(posted)
        await eventually(lambda: socket.bodies == [1, 2, 3])

    with server:
        nodes = Nodes(server.url, tmp_path)
        run(nodes.start)
        on(nodes, scenario)
        run(nodes.stop)


def test_leases_of_a_socket_that_closed_while_the_store_was_away_are_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always")

    async def scenario(nodes: Nodes) -> None:
        monkeypatch.setattr(nodes.one.consumers, "_grace", 0.2)
        socket, other = Socket(), Socket()
        await nodes.one.subscribe(socket, nodes.queue, credit=5)
        await nodes.post(1, 2)
        await eventually(lambda: socket.bodies == [1, 2])
        server.kill()
        nodes.one.close(socket)
        await eventually(lambda: bool(nodes.one.consumers._lapses._pauses))  # it was refused
        await deferToThread(server.restart)
        await eventually(lambda: is_joined(nodes, other))
        await eventually(lambda: other.bodies == [1, 2])
        assert not nodes.one.consumers._lapses._lapsing

    with server:
        nodes = Nodes(server.url, tmp_path)
        run(nodes.start)
        on(nodes, scenario)
        run(nodes.stop)


async def is_joined(nodes: Nodes, socket: Socket) -> bool:
    """Whether the socket has become a consumer of the other node, as soon as the store lets it."""
    try:
        await nodes.other.subscribe(socket, nodes.queue, credit=9)
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("ending", ["the node stops", "the ttl is over"])
def test_a_store_that_stays_away_is_not_told_for_ever(tmp_path: Path, ending: str) -> None:
    server = start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always")

    async def scenario(nodes: Nodes) -> None:
        socket = Socket()
        ttl = 60 if ending == "the node stops" else 3
        await nodes.one.subscribe(socket, nodes.queue, credit=5, ttl=ttl)
        await nodes.post(1)
        await eventually(lambda: socket.bodies == [1])
        server.kill()
        nodes.one.close(socket)
        lapses = nodes.one.consumers._lapses
        await eventually(lambda: bool(lapses._pauses))
        if ending == "the node stops":
            await nodes.one.consumers.stop()
            assert not lapses._lapsing
        else:
            await eventually(lambda: not lapses._lapsing)
        assert not lapses._pauses
        await deferToThread(server.restart)

    with server:
        nodes = Nodes(server.url, tmp_path)
        run(nodes.start)
        on(nodes, scenario)
        run(nodes.stop)

"""Leased messages are pushed to consumers of several nodes: bounded, in turns, only when there is work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.threads import deferToThread

from gateway.push.dispatcher import BATCH
from protocol.errors import BadRequest
from schemas import limits
from storage.mover import Mover
from storage.pools import Pool
from storage.records import NewMessage
from storage.redis.moving import RedisMoves
from storage.redis.store import RedisStore
from tests.gateway.push.nodes import Nodes, on
from tests.support.consumers import Socket
from tests.support.reactor import eventually, reactor, sleep
from tests.support.servers import Server
from tests.support.store import ALICE, PATIENCE, text


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

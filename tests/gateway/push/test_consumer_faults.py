"""Consumers when answers, announcements, sockets or the store are lost: all is pushed, or given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.threads import deferToThread

from gateway.push import consumers as consumers_module
from storage.errors import OutcomeUnknown, StaleQueue, StoreUnavailable
from storage.records import Adopted, Leased, Queue, Swept
from tests.gateway.push.nodes import Nodes, on
from tests.support.consumers import Socket
from tests.support.reactor import eventually, run, sleep
from tests.support.servers import Server, start_valkey
from tests.support.store import new_queue


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


@pytest.mark.parametrize("answered", [False, True])
def test_a_consumer_that_could_not_change_its_credit_has_ended(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    monkeypatch.setattr(nodes.one.consumers, "_grace", 0.2)
    adopt = nodes.one.store.adopt_claim

    async def adopt_in_vain(*arguments: Any) -> Adopted | None:
        if not answered:
            raise StoreUnavailable("It is away.")
        await adopt(*arguments)
        raise OutcomeUnknown("The connection broke.")

    async def scenario(nodes: Nodes) -> None:
        socket, other = Socket(), Socket()
        claim = await nodes.one.subscribe(socket, nodes.queue, credit=1)
        await nodes.post(1)
        await eventually(lambda: socket.bodies == [1])
        with monkeypatch.context() as patched:
            patched.setattr(nodes.one.store, "adopt_claim", adopt_in_vain)
            with pytest.raises(OutcomeUnknown if answered else StoreUnavailable):
                await nodes.one.subscribe(socket, nodes.queue, credit=3, claim=claim)
        nodes.one.consumers.writable(socket)
        await nodes.one.consumers.end_forbidden(socket)
        await nodes.other.subscribe(other, nodes.queue, credit=9)
        await eventually(lambda: other.bodies == [1])
        nodes.one.close(socket)

    on(nodes, scenario)


def test_what_was_forbidden_while_it_was_subscribed_ends(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket, other = Socket(), Socket()
    sweep = nodes.one.store.sweep

    async def forbid(queue: Queue) -> Swept:
        socket.permitted = False
        nodes.one.consumers.end_all_forbidden()  # knows nothing of it yet
        return await sweep(queue)

    async def scenario(nodes: Nodes) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(nodes.one.store, "sweep", forbid)
            await nodes.one.subscribe(socket, nodes.queue, credit=1)
        assert socket.endings == ["not_permitted"]
        await nodes.post(1)
        await nodes.one.subscribe(other, nodes.queue, credit=1)
        await eventually(lambda: other.bodies == [1])
        assert socket.bodies == []

    on(nodes, scenario)


@pytest.mark.parametrize("what", ["consumer", "subscriber"])
def test_a_fault_while_the_store_is_told_of_an_end_is_logged(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async def break_late(*_: object) -> None:
        await sleep(0)
        raise ZeroDivisionError

    async def scenario(nodes: Nodes) -> None:
        socket = Socket(extended=what == "consumer")
        if what == "consumer":
            await nodes.one.subscribe(socket, nodes.queue, credit=1)
            await nodes.post(1)
            await eventually(lambda: socket.bodies == [1])
        else:
            await nodes.one.resume(socket, None, nodes.queue)
        socket.permitted = False
        with capture_logs() as logs, monkeypatch.context() as patched:
            patched.setattr(nodes.one.router, "run_on", break_late)
            await nodes.one.consumers.end_forbidden(socket)
            await nodes.one.hub.end_forbidden(socket)
            await eventually(lambda: bool(logs))
        assert [(each["event"], each["queue"]) for each in logs] == [("push_failed", "jobs")]
        assert "ZeroDivisionError" in logs[0]["failure"]

    on(nodes, scenario)

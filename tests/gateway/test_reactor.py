"""The lean reactor: events, the end of a turn, and faults."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python import log
from twisted.python.failure import Failure

from gateway.reactor import LeanReactor
from storage.sending import at_turn_end


@pytest.fixture
def reactor() -> Iterator[LeanReactor]:
    """A reactor of its own, not the process's."""
    made: Any = LeanReactor()
    yield made
    made.removeAll()


@pytest.fixture
def faults() -> Iterator[list[BaseException]]:
    """What is logged as a fault meanwhile."""
    seen: list[BaseException] = []

    def observe(event: dict[str, Any]) -> None:
        if event["isError"]:
            seen.append(event["failure"].value)

    log.addObserver(observe)
    yield seen
    log.removeObserver(observe)


def spin(reactor: LeanReactor, done: Callable[[], object]) -> None:
    """Run in this thread until `done()` is true; not longer than 10 seconds."""
    overdue = threading.Event()

    def look() -> None:
        if done():
            reactor.stop()
        else:
            reactor.callLater(0.001, look)

    def give_up() -> None:
        overdue.set()
        reactor.stop()

    reactor.callLater(0, look)
    timer = reactor.callLater(10, give_up)
    reactor.run(installSignalHandlers=False)
    assert not overdue.is_set()
    timer.cancel()


def test_the_end_of_a_turn_comes_after_its_timed_calls(reactor: LeanReactor) -> None:
    order: list[str] = []

    def first() -> None:
        at_turn_end(reactor, lambda: order.append("end"))
        order.append("first")

    reactor.callLater(0, first)
    reactor.callLater(0, order.append, "second")
    spin(reactor, lambda: "end" in order)
    assert order == ["first", "second", "end"]


def test_what_a_call_at_the_end_of_a_turn_gathers_leaves_in_the_same_turn(reactor: LeanReactor) -> None:
    order: list[str] = []

    def gather() -> None:
        reactor.callLater(0, order.append, "next turn")
        reactor.at_turn_end(lambda: order.append("gathered"))

    reactor.at_turn_end(gather)
    reactor.at_turn_end(lambda: order.append("other"))
    spin(reactor, lambda: "next turn" in order)
    assert order == ["other", "gathered", "next turn"]


def test_the_end_of_a_turn_may_ask_for_the_next(reactor: LeanReactor) -> None:
    # The poll between the two must not wait: nothing else would end it.
    left = [50]

    def again() -> None:
        left[0] -= 1
        if left[0]:
            reactor.at_turn_end(again)
        else:
            reactor.stop()

    reactor.callWhenRunning(reactor.at_turn_end, again)
    timer = reactor.callLater(10, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert left == [0]
    timer.cancel()


def test_a_fault_at_the_end_of_a_turn_stops_no_other(reactor: Any, faults: list[BaseException]) -> None:
    done: list[int] = []
    fault = ValueError("a fault")

    def fail() -> None:
        raise fault

    reactor.at_turn_end(fail)
    reactor.at_turn_end(lambda: done.append(1))
    spin(reactor, lambda: done)
    assert faults == [fault]


def test_on_another_reactor_it_is_the_next_turn() -> None:
    clock, done = Clock(), [0]
    at_turn_end(clock, lambda: done.append(1))
    assert done == [0]
    clock.advance(0)
    assert done == [0, 1]


class Talk(Protocol):
    """Answers, or fails at a word."""

    lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        if data == b"fail":
            raise RuntimeError("a fault")
        assert self.transport is not None
        self.transport.write(data * 100_000)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        Talk.lost = reason


def test_connections_are_read_written_and_end(reactor: Any, faults: list[BaseException]) -> None:
    Talk.lost = None
    factory = Factory.forProtocol(Talk)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    client = socket.create_connection(("127.0.0.1", port.getHost().port))
    client.sendall(b"ask")
    client.setblocking(False)
    received: list[bytes] = []

    def read() -> bool:
        try:
            received.append(client.recv(1_000_000))
        except BlockingIOError:
            return False
        return sum(map(len, received)) == 300_000

    spin(reactor, read)
    assert b"".join(received) == b"ask" * 100_000
    assert not faults


@pytest.mark.parametrize("how", ["close", "fail"])
def test_a_connection_that_ends_or_fails_is_lost_alone(
    reactor: Any, faults: list[BaseException], how: str
) -> None:
    Talk.lost = None
    port = reactor.listenTCP(0, Factory.forProtocol(Talk), interface="127.0.0.1")
    client = socket.create_connection(("127.0.0.1", port.getHost().port))
    if how == "fail":
        client.sendall(b"fail")
    else:
        client.close()
    spin(reactor, lambda: Talk.lost)
    lost: Any = Talk.lost
    if how == "fail":
        assert [str(fault) for fault in faults] == ["a fault"]
        assert lost.check(RuntimeError)
        assert client.recv(1) == b""
        client.close()
    else:
        assert lost.check(ConnectionDone)

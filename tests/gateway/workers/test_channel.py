"""The channel between supervisor and worker."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, TimeoutError

from gateway.workers.channel import Channel, ChannelClosed, connect
from tests.support.reactor import eventually, reactor, run


class Side:
    """One end: it answers with what it was asked, upside down; `silence` is never answered."""

    def __init__(self) -> None:
        self.closed = 0
        self.channel = Channel(reactor, self.answer, self.on_closed)

    async def answer(self, question: str) -> bytes:
        if question == "silence":
            await Deferred()
        return question[::-1].encode()

    def on_closed(self) -> None:
        self.closed += 1


@pytest.fixture
def sides() -> Iterator[list[Side]]:
    sides = [Side(), Side()]
    for side, end in zip(sides, socket.socketpair(), strict=True):
        run(connect, reactor, end, side.channel)
    yield sides
    for side in sides:
        run(lambda side=side: side.channel.transport.abortConnection())


def test_either_side_asks(sides: list[Side]) -> None:
    one, other = sides
    assert run(lambda: one.channel.ask("metrics", 30)) == b"scirtem"
    assert run(lambda: other.channel.ask("x" * 1_000_000, 30)) == b"x" * 1_000_000


def test_answers_come_to_those_who_asked(sides: list[Side]) -> None:
    one, other = sides

    async def scenario() -> None:
        silent = Deferred.fromCoroutine(one.channel.ask("silence", 0.2))
        assert await one.channel.ask("ab", 30) == b"ba"
        assert await other.channel.ask("cd", 30) == b"dc"
        with pytest.raises(TimeoutError):
            await silent

    run(scenario)


def test_the_end_of_one_side_is_told_to_the_other(sides: list[Side]) -> None:
    one, other = sides

    async def scenario() -> None:
        waiting = Deferred.fromCoroutine(one.channel.ask("silence", 30))
        assert other.channel.transport is not None
        other.channel.transport.loseConnection()
        with pytest.raises(ChannelClosed):
            await waiting
        await eventually(lambda: one.closed == other.closed == 1)
        with pytest.raises(ChannelClosed):
            await one.channel.ask("anything", 5)

    run(scenario)

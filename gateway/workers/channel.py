"""The connection between the supervisor and one worker: either side asks, the other answers.

Its end tells each of the two that the other has ended, however it ended.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from gateway.logs import get_logger

LONGEST = 16_777_216
"""Bytes of one answer."""

Answer = Callable[[str], Awaitable[bytes]]
"""Answers a question of the other side."""

log = get_logger(__name__)


class ChannelClosed(Exception):
    """The other side has ended."""


class Channel(Int32StringReceiver):
    """One end. `answer` answers what the other side asks, `on_closed` is called when that has ended."""

    MAX_LENGTH = LONGEST

    def __init__(self, reactor: Any, answer: Answer, on_closed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._answer = answer
        self._on_closed = on_closed
        self._asked: dict[int, Deferred[bytes]] = {}
        self._last = 0
        self._closed = False

    async def ask(self, question: str, timeout: float) -> bytes:
        """The answer of the other side. ChannelClosed; TimeoutError after `timeout` seconds."""
        if self._closed:
            raise ChannelClosed
        self._last += 1
        number = self._last
        answer: Deferred[bytes] = Deferred()
        self._asked[number] = answer
        self._tell(number, question)
        try:
            return await answer.addTimeout(timeout, self._reactor)
        finally:
            self._asked.pop(number, None)

    def stringReceived(self, string: bytes) -> None:
        number, told = msgpack.unpackb(string)
        if isinstance(told, bytes):
            answer = self._asked.pop(number, None)
            if answer is not None:  # else nobody waits for it any more
                answer.callback(told)
            return
        answering = Deferred.fromCoroutine(self._reply(number, told))
        answering.addErrback(lambda failure: log.error("channel_failed", failure=failure.getTraceback()))

    async def _reply(self, number: int, question: str) -> None:
        answer = await self._answer(question)
        if not self._closed:
            self._tell(number, answer)

    def _tell(self, number: int, told: str | bytes) -> None:
        self.sendString(msgpack.packb([number, told]))  # type: ignore[no-untyped-call]  # Twisted's is not typed

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closed = True
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.errback(ChannelClosed())
        self._on_closed()


class _Factory(Factory):
    noisy = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        return self._channel


def connect(reactor: Any, end: socket.socket, channel: Channel) -> None:
    """Let the channel use this end of a pair of Unix sockets. The reactor makes a descriptor of its own."""
    end.setblocking(False)
    reactor.adoptStreamConnection(end.fileno(), socket.AF_UNIX, _Factory(channel))
    end.close()

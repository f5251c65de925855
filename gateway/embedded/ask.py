"""One command to a server on a Unix socket, on a connection of its own, without blocking the reactor."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

_LONGEST_ANSWER = 4096


class _Question(Protocol):
    """Sends a command and keeps the first line that comes back."""

    def __init__(self, words: tuple[bytes, ...]) -> None:
        self.answer: Deferred[bytes] = Deferred()
        self._words = words
        self._received = b""

    def connectionMade(self) -> None:
        assert self.transport is not None  # Twisted sets it before this call
        parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in self._words]
        self.transport.write(b"*%d\r\n" % len(parts) + b"".join(parts))

    def dataReceived(self, data: bytes) -> None:
        self._received = (self._received + data)[:_LONGEST_ANSWER]
        if not self.answer.called and b"\n" in self._received:
            self.answer.callback(self._received.partition(b"\r\n")[0])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.errback(reason)


def ask(reactor: Any, socket_path: str, *words: bytes, timeout: float) -> Deferred[bytes | None]:
    """The first line that the server answers, for example `b"+PONG"` or `b"-LOADING ..."`.

    :param timeout: seconds, for the connection and again for the answer.
    :return: None if nobody listens there, or hangs up or says nothing in time.
    """
    question = _Question(words)

    def connected(_: object) -> Deferred[bytes]:
        return question.answer.addTimeout(timeout, reactor)

    def hang_up(result: Any) -> Any:
        if question.transport is not None:
            question.transport.loseConnection()
        return result

    def nothing(failure: Failure) -> None:
        failure.trap(ConnectError, ConnectionClosed, TimeoutError)

    connecting = connectProtocol(UNIXClientEndpoint(reactor, socket_path, timeout), question)
    answer: Deferred[bytes | None] = connecting.addCallback(connected).addBoth(hang_up).addErrback(nothing)
    return answer

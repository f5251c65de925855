"""A connection to Redis or Valkey on Twisted: commands go out together, answers come back in order.

Measured need: with many callers this costs a tenth of the CPU of a pooled asyncio client, because all
commands of one turn of the reactor share one write, and the server handles them in one read.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import hiredis
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from storage.errors import OutcomeUnknown, StoreBusy, StoreUnavailable
from storage.redis.refusals import Moved, refusal
from storage.redis.slots import key_slot
from storage.sending import Send, at_turn_end, plain_send, transmit

MAX_WAITING = 20_000
"""Commands without an answer, at the most; more are refused with StoreBusy."""

Reply = Any
"""bytes, int, None, a list of these, or a hiredis.ReplyError."""


def _nothing() -> None:
    """Nobody wants to know."""


class StoreConnection(Protocol):
    """One connection. It gives up, with all commands under way, if an answer takes over `timeout` seconds."""

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._reader = hiredis.Reader()
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[float, Deferred[Reply]]] = deque()
        self._send: Send | None = None
        self._watch: IDelayedCall | None = None
        self._open = False
        self.on_closed: Callable[[], None] = _nothing
        self.timeline = b""
        """The server's (storage.redis.timeline); empty: not known."""

    def connectionMade(self) -> None:
        self._open = True
        self._send = plain_send(self.transport)
        self._watch = self._clock.callLater(self._timeout / 4, self._check_oldest)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._waiting

    def send(self, *command: bytes | str | int) -> Deferred[Reply]:
        """Send a command at the end of the reactor's turn.

        Fires with the answer. Fails with StoreUnavailable if it was never sent, OutcomeUnknown if the
        connection broke before the answer, StoreBusy if too many wait.
        """
        answer: Deferred[Reply] = Deferred()
        if not self._open:
            answer.errback(StoreUnavailable("The connection to the message store is closed."))
        elif len(self._waiting) >= MAX_WAITING:
            answer.errback(StoreBusy("Too many commands wait for the message store."))
        else:
            if not self._unsent:
                at_turn_end(self._clock, self._write)
            self._unsent.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub wants a 1-tuple
            self._waiting.append((self._clock.seconds(), answer))
        return answer

    def _write(self) -> None:
        if self._open:  # else what was not written yet never will be
            unsent, self._unsent = self._unsent, []
            transmit(self.transport, self._send, b"".join(unsent))

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._waiting.popleft()[1].callback(reply)
        except (hiredis.ProtocolError, IndexError):
            # Not a Redis server, or one that talks out of turn: no answer can be trusted any more.
            self.abort()

    def _check_oldest(self) -> None:
        self._watch = self._clock.callLater(self._timeout / 4, self._check_oldest)
        if self._waiting and self._clock.seconds() - self._waiting[0][0] > self._timeout:
            self.abort()

    def abort(self) -> None:
        """Close at once, without waiting for what was written."""
        self._open = False
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]  # ITransport lacks it, TCP, Unix and TLS have it

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._open = False
        self._send = None
        self.on_closed()
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        waiting, unsent = list(self._waiting), len(self._unsent)
        self._waiting.clear()
        why = "" if reason.check(ConnectionDone) else f" ({reason.getErrorMessage()})"
        for i, (_, answer) in enumerate(waiting):
            if i < len(waiting) - unsent:
                answer.errback(
                    OutcomeUnknown(f"The connection to the message store broke before it answered{why}.")
                )
            else:
                answer.errback(StoreUnavailable(f"The connection to the message store broke{why}."))


class EventConnection(Protocol):
    """A connection that listens to sharded channels (SSUBSCRIBE).

    `on_moved` is told a slot of which the server does not announce channels (any more): it is another node's.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        on_event: Callable[[bytes, bytes], None],
        on_listening: Callable[[bytes], None],
        on_moved: Callable[[int], None],
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._reader = hiredis.Reader()
        self._on_event = on_event
        self._on_listening = on_listening
        self._on_moved = on_moved
        self._leaving: Counter[bytes] = Counter()
        self._answered = True
        self._watch: IDelayedCall | None = None
        self._greeting: Deferred[Reply] | None = None
        self.on_closed: Callable[[], None] = _nothing

    def connectionMade(self) -> None:
        self._watch = self._clock.callLater(self._timeout, self._ping)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return self._greeting is None

    def send(self, *command: bytes | str | int) -> Deferred[Reply]:
        """Send a command of the greeting (AUTH, SELECT); fires with its answer. One at a time."""
        answer: Deferred[Reply] = Deferred()
        self._greeting = answer
        self._write(*command)
        return answer

    def listen(self, channel: bytes) -> None:
        """Listen to a channel; `on_listening` tells when the server does."""
        self._write(b"SSUBSCRIBE", channel)

    def leave(self, channel: bytes) -> None:
        """Listen no longer."""
        self._leaving[channel] += 1
        self._write(b"SUNSUBSCRIBE", channel)

    def _write(self, *command: bytes | str | int) -> None:
        assert self.transport is not None
        self.transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # as above

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        self._answered = True
        try:
            while (reply := self._reader.gets()) is not False:
                self._told(reply)
        except hiredis.ProtocolError:
            self.abort()

    def _told(self, reply: Reply) -> None:
        if isinstance(reply, list) and reply[0] == b"smessage":
            self._on_event(reply[1], reply[2])
        elif isinstance(reply, list) and reply[0] == b"ssubscribe":
            self._on_listening(reply[1])
        elif isinstance(reply, list) and reply[0] == b"sunsubscribe":
            self._left(reply[1])
        elif self._greeting is not None:
            answer, self._greeting = self._greeting, None
            answer.callback(reply)
        elif isinstance(reply, hiredis.ReplyError):
            error = refusal(reply)
            if isinstance(error, Moved):
                for channel in [each for each in self._leaving if key_slot(each) == error.slot]:
                    del self._leaving[channel]  # there was nothing to leave
                self._on_moved(error.slot)
            else:  # a channel was refused: what cannot be listened to must not look as if it were
                self.abort()

    def _left(self, channel: bytes) -> None:
        if self._leaving[channel] > 1:
            self._leaving[channel] -= 1
        elif self._leaving.pop(channel, 0) == 0:  # nobody asked for it: the slot has moved away
            self._on_moved(key_slot(channel))

    def _ping(self) -> None:
        self._watch = self._clock.callLater(self._timeout, self._ping)
        if not self._answered:
            self.abort()
            return
        self._answered = False
        self._write(b"PING")

    def abort(self) -> None:
        """Close at once."""
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]  # see StoreConnection.abort

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.on_closed()
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        if self._greeting is not None:
            answer, self._greeting = self._greeting, None
            answer.errback(reason)

"""The reactor: Twisted's epoll reactor with a lean poll loop, and calls at the end of a turn.

A turn of the reactor handles what the last poll found, then the timed calls that are due. At its end come
the calls given to `at_turn_end` (storage.sending), so what a turn has gathered for one socket leaves in one
piece.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.main import installReactor
from twisted.python import log

try:
    from select import EPOLLIN

    from twisted.internet.epollreactor import EPollReactor
except ImportError:  # not Linux
    EPollReactor = object  # type: ignore[assignment,misc]  # install() looks, and takes Twisted's default

Call = Callable[[], object]

ROUNDS = 2
"""Of calls at the end of a turn. More could go on for ever."""


class LeanReactor(EPollReactor):
    """An epoll reactor without Twisted's log context around each event, which nothing here reads."""

    def __init__(self) -> None:
        super().__init__()
        self._turn_end: list[Call] = []

    def at_turn_end(self, call: Call) -> None:
        """Call at the end of this turn, once; from a call of its last round: at the end of the next."""
        self._turn_end.append(call)

    def stop(self) -> None:
        """Stop at the next turn, which then must come at once, also if this one is at its end."""
        super().stop()
        self.wakeUp()

    def runUntilCurrent(self) -> None:
        """The timed calls that are due, then the end of the turn."""
        super().runUntilCurrent()
        for _ in range(ROUNDS):
            calls, self._turn_end = self._turn_end, []
            for call in calls:
                try:
                    call()
                except BaseException:  # noqa: BLE001  # as Twisted does: one call's fault stops no other
                    log.err()

    def timeout(self) -> float | None:
        """How long the poll may wait, in seconds: not at all if the end of a turn has asked for another."""
        return 0 if self._turn_end else super().timeout()

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events and handle them (epoll_wait(2))."""
        selectables = self._selectables
        # PEP 475: a signal does not end the wait with an error. Its handler wakes the reactor up.
        events = self._poller.poll(-1 if timeout is None else timeout, max(1, len(selectables)))
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            if selectable is None:  # closed by what came before in this turn
                continue
            if event == EPOLLIN:  # nearly all events; the others go the stock way
                try:
                    why = selectable.doRead()
                except BaseException as error:  # noqa: BLE001  # as Twisted does: it costs this connection
                    log.err()
                    why = error
                if why:
                    self._disconnectSelectable(selectable, why, True)
            else:
                log.callWithLogger(selectable, self._doReadOrWrite, selectable, descriptor, event)

    doIteration = doPoll


def install() -> None:
    """Make it the process's reactor. Where there is no epoll, Twisted's own choice is left to it."""
    if EPollReactor is not object:
        installReactor(LeanReactor())

"""One consumer of one socket: who gets leased messages pushed (`claim_subscribe`)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence

from gateway.message_view import message_view
from gateway.push.frames import kind_of, notice, pieces
from gateway.push.subscriber import Sink
from protocol.body import Form
from schemas.events import ClaimEnded, ClaimEndReason, ClaimEvent
from storage.records import Adopted, Consumer, Message, Queue

SPARE = 100
"""Messages beyond the credit that are remembered as pushed until it is looked up which are still held."""


class Worker:
    """A consumer and its socket.

    :ivar behind: the claim may hold messages that were not pushed, as the socket took no more, or the store's
        answer was lost. Nothing is leased to it until they are.
    :ivar left: it takes no more, and what it holds is to be free in so many seconds.
    """

    __slots__ = (
        *("_pushed", "_renamed", "_taken"),
        *("before", "behind", "catching_up", "form", "left", "sink", "terms"),
    )

    def __init__(self, sink: Sink, form: Form, terms: Consumer) -> None:
        self.sink = sink
        self.form = form
        self.terms = terms
        self.before = terms.token
        """The token that the store knows it by, or knew until a moment ago."""
        self.behind = False
        self.catching_up = False
        self.left: float | None = None
        self._renamed = False
        self._taken = 0
        self._pushed: dict[int, int] = {}

    @property
    def claim_id(self) -> str:
        """Its claim, as clients write it."""
        return str(uuid.UUID(bytes=self.terms.claim))

    def rename(self) -> None:
        """Take a new token: a call whose answer was lost leases nothing any more, should it be done late.

        The new token stays until the store has confirmed it (`adopted`), however often it is told.
        """
        if not self._renamed:
            self._renamed = True
            self.before = self.terms.token
            self.terms = self.terms._replace(token=os.urandom(8))

    def adopted(self, adopted: Adopted) -> list[int]:
        """The store has confirmed it. Returns what its claim holds and was not pushed; forgets all else."""
        self._renamed = False
        self.before = self.terms.token
        self._taken = max(self._taken, adopted.number)
        held = adopted.held
        self._pushed = {sequence: count for sequence, count in held if self._pushed.get(sequence) == count}
        return [sequence for sequence, _ in held if sequence not in self._pushed]

    def taken_by_other(self, number: int) -> bool:
        """Whether a claim that was taken with this number is no longer its own."""
        return number > self._taken

    def push(self, queue: Queue, messages: Sequence[Message]) -> int:
        """Push messages that the claim holds; returns how many the socket has taken."""
        pushed = 0
        for piece in pieces(messages):
            event = ClaimEvent(
                queue_name=queue.name,
                claim_id=self.claim_id,
                messages=[message_view(message, queue, self.form, in_full=True) for message in piece],
            )
            if not self._send(event):
                self.behind = True
                break
            pushed += len(piece)
            for message in piece:
                self._pushed[message.sequence] = message.claim_count
        return pushed

    @property
    def may_hold(self) -> bool:
        """Whether its claim may hold something, as far as is known without asking."""
        return self.behind or bool(self._pushed)

    @property
    def remembers_much(self) -> bool:
        """Whether it is time to look up what the claim still holds."""
        return len(self._pushed) > self.terms.credit + SPARE

    def end(self, queue: Queue, reason: ClaimEndReason) -> bool:
        """Tell it that nothing more will come. False: the socket takes no more now."""
        return self._send(ClaimEnded(queue_name=queue.name, claim_id=self.claim_id, reason=reason))

    def _send(self, event: ClaimEvent | ClaimEnded) -> bool:
        kind = kind_of(self.form, extended=True, compressed=self.sink.compressed)
        return self.sink.push(notice(event, kind))

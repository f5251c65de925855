"""Moves of queues from one pool to another: their record in the catalog, and what a store does for them.

How a move goes is told in `storage.mover`. What it raises is in `storage.errors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from storage.records import Queue


@dataclass(frozen=True)
class Move:
    """A move that has begun and has not ended, as the catalog knows it."""

    incarnation: int
    """The queue that moves."""
    to_pool: str
    token: bytes
    """16 random bytes of the program that works on it, which the stores know as well. Empty: none yet."""
    step: str = "copying"
    """`copying`, or `switching` from when the queue may have left its old pool."""
    progress: str = ""
    """How far it has copied, in words of the mover."""


class MoveCatalog(Protocol):
    """Which queues are on their way.

    After `CatalogUnavailable` a change may have been made all the same.
    """

    async def begin_move(self, queue: Queue, to_pool: str) -> Move:
        """The unfinished move of a queue to a pool, which begins now if there is none.

        UnknownPool; NoQueue if it was deleted; MoveUnfinished if the queue is on its way to a third pool.
        """

    async def get_move(self, queue: Queue) -> Move | None:
        """The unfinished move of a queue."""

    async def record_move(self, was: Move, becomes: Move) -> bool:
        """Write down how far a move is. False: its token is no longer that of `was`, or it ended."""

    async def switch_pool(self, queue: Queue, pool: str) -> bool:
        """Say that the queue is in `pool`, if the catalog still says `queue.pool`; its move ends with that.

        True: it is there now, whoever has said it first. False: it is in another pool, or deleted.
        """

    async def end_move(self, queue: Queue) -> None:
        """Forget the unfinished move of a queue: it stays where it is."""

    async def list_moves(self, after: int, limit: int) -> list[Move]:
        """Up to `limit` unfinished moves by incarnation, above `after`."""


MESSAGES = frozenset({"free", "claimed", "delayed"})
"""The parts of a queue that are its messages."""


class Begun(NamedTuple):
    """The beginning of the notes."""

    kept: bool
    """Whether all has been noted since an earlier move began."""
    newest: int
    """The newest number of the queue: what has a later one is noted."""


class Copied(NamedTuple):
    """A page of what a queue holds."""

    items: list[bytes]
    """As `MovingStore.put` takes them."""
    more: bool
    """Whether another page has to follow."""
    cursor: str
    """Where the next page begins."""
    noted: int
    """How many changes wait to be taken."""


class Numbers(NamedTuple):
    """What a queue has drawn: the newest number, and the newest position. And how large it is."""

    last: int
    visible: int
    bytes: int = 0
    """Bytes of its messages' records,"""
    counted: int = 0
    """of those with a later sequence than this."""


class MovingStore(Protocol):
    """What a store does for a move, as the source or as the target of it. `token` is the move's.

    Every method raises what the methods of `storage.base.MessageStore` raise, StaleQueue where the queue is
    not here; and MoveOvertaken where another token is in force.
    """

    @property
    def identity(self) -> bytes:
        """The same for the same store, however it is reached. Empty: it could not be told."""

    @property
    def parts(self) -> Sequence[str]:
        """What `copy` can read, in the order of reading. Those that are messages are in `MESSAGES`."""

    # The source. But for the first, MoveLapsed says that changes have gone unnoted: begin anew.

    async def begin(self, queue: Queue, token: bytes, earlier: bytes) -> Begun:
        """Note what changes from now on.

        That ends by itself a minute after the last call with this token. QueueMoved if the queue has left.
        """

    async def copy(self, queue: Queue, token: bytes, part: str, cursor: str, newest: int) -> Copied:
        """A page of one part behind `cursor`, which empty begins, up to the number `newest` (`Begun`)."""

    async def take(self, queue: Queue, token: bytes) -> tuple[list[bytes], int]:
        """Some of what has changed, as it is now, and how many changes are left."""

    async def acknowledge(self, queue: Queue, token: bytes) -> None:
        """What was taken is in the target. Until this, it is taken again."""

    async def fence(self, queue: Queue, token: bytes, seconds: float) -> Numbers:
        """Let all who use the queue wait, for so long at the most; 0: let them go on."""

    async def outbox(self, queue: Queue, token: bytes, start: int) -> list[bytes]:
        """Dead letters in the outbox, from number `start` on. Only under the fence."""

    async def depart(self, queue: Queue, token: bytes, pool: str) -> bool:
        """Let the queue leave for `pool`. False: the fence has ended, or changes are left."""

    async def forget(self, queue: Queue) -> None:
        """The catalog says where the queue is: do not remember it for longer than a day."""

    async def give_up(self, queue: Queue, token: bytes) -> None:
        """The queue stays: note no more changes."""

    # The target.

    async def arrive(self, queue: Queue, token: bytes, earlier: bytes, *, keep: bool) -> bool:
        """Make room for a copy. True: the copy of `earlier` is there, which was to be kept.

        StoreFailed if the queue is here already.
        """

    async def put(self, queue: Queue, token: bytes, items: Sequence[bytes]) -> None:
        """Write items, in place of what is there of them."""

    async def settle_in(
        self, queue: Queue, token: bytes, numbers: Numbers, wait: float, letters: int
    ) -> None:
        """The copy is complete, with so many `letters` in the outbox.

        Who finds the queue waits until `open`, `wait` seconds at the most.
        """

    async def open(self, queue: Queue, token: bytes) -> None:
        """The source has let the queue go: nobody need wait."""

    async def clear(self, queue: Queue, token: bytes) -> None:
        """The queue does not come: remove the copy."""

"""The two interfaces that keep what is kept: the message store and the catalog.

What the numbers mean is told in storage.records.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from storage.deliveries import DeliveryStore
from storage.moves import MoveCatalog
from storage.pools import Durability, PoolCatalog
from storage.records import (
    Adopted,
    Claim,
    Claimed,
    Consumer,
    DeadLetter,
    Deleted,
    Found,
    Leased,
    Message,
    NewMessage,
    Page,
    Queue,
    Start,
    Stats,
    Subscribed,
    Subscription,
    Swept,
    Waiting,
)


class MessageStore(DeliveryStore, Protocol):
    """Messages, claims and subscriptions of the queues of one pool.

    Every method raises `storage.errors.StaleQueue` where the queue's incarnation is not (or no longer)
    here, and the other errors of that module where the store is away, full or read-only. Nothing expired
    is ever shown or counted. Messages of queues that demand it are kept encrypted.
    """

    async def create(self, queue: Queue) -> None:
        """Make room for a queue; nothing happens if it is there.

        StaleQueue if it was removed, QueueMoved if it has left for another pool.
        """

    async def remove(self, queue: Queue) -> bool:
        """Remove a queue with all that is in it. False: dead letters must leave its outbox first."""

    async def purge(self, queue: Queue, *, messages: bool, subscriptions: bool) -> None:
        """Remove all messages with their claims, all subscriptions, or both."""

    async def post(
        self, queue: Queue, messages: Sequence[NewMessage], client: bytes, dedup_window: int = 0
    ) -> list[int]:
        """Store messages, all or none; returns their sequences in order. `client` is 16 bytes.

        A message whose dedup_id another has had within `dedup_window` seconds is not stored: the sequence is
        that one's. Where all have one, the post may be sent twice. QueueFull if those that are to be stored
        do not fit into the queue.
        """

    async def list_messages(
        self,
        queue: Queue,
        start: Start,
        limit: int,
        *,
        not_from: bytes | None = None,
        include_claimed: bool = False,
        include_delayed: bool = False,
    ) -> Page:
        """Up to `limit` messages behind `start`, without those posted by the client `not_from`.

        Fewer if one cannot be read: the page ends in front of it. MessageUnreadable if that is the first.
        """

    async def get_messages(
        self, queue: Queue, sequences: Sequence[int], *, only_readable: bool = False
    ) -> list[Message | None]:
        """The messages of these sequences, in the same order; None where there is none.

        :param only_readable: None too where one cannot be read; else MessageUnreadable.
        """

    async def delete_message(self, queue: Queue, sequence: int, claim: bytes | None) -> Deleted:
        """Delete one message. An empty `claim` stands for one that cannot exist."""

    async def delete_messages(
        self, queue: Queue, sequences: Sequence[int], claims: Sequence[bytes] | None
    ) -> bool:
        """Delete messages. With `claims`, each must be held by one of these; else False, and none is."""

    async def pop_messages(self, queue: Queue, limit: int, dead_letter: DeadLetter | None) -> Claimed:
        """Take up to `limit` free messages out of the queue. At most once: a lost answer loses them.

        Those whose key is missing stay, and are passed over for a while; EncryptionKeyMissing if there are no
        others.
        """

    async def stats(self, queue: Queue) -> Stats:
        """Counts and the two ends, as far as those can be read."""

    async def create_claim(
        self, queue: Queue, claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None
    ) -> Claimed:
        """Lease up to `limit` free messages to the claim (16 bytes) for `ttl` seconds.

        With those whose key is missing as `pop_messages`.
        """

    async def get_claim(self, queue: Queue, claim: bytes) -> Claim | None:
        """A live claim with those of its messages that can be read."""

    async def update_claim(self, queue: Queue, claim: bytes, ttl: int, grace: int) -> bool:
        """Start a claim's time anew. False: there is none."""

    async def release_claim(self, queue: Queue, claim: bytes, token: bytes | None = None) -> None:
        """End a claim; its messages are free again, each at its old place.

        :param token: only if the claim is the consumer's of this token.
        """

    async def release_messages(self, queue: Queue, sequences: Sequence[int], claim: bytes) -> None:
        """Free those of the messages that the claim holds, each at its old place."""

    async def lease(
        self, queue: Queue, consumer: Consumer, limit: int, sharing: int, dead_letter: DeadLetter | None
    ) -> Leased | None:
        """Lease more free messages to a consumer's claim, whose time begins anew with them.

        It gets up to `limit`, as long as it holds no more than its credit, of what is free divided by
        `sharing`. None: another consumer has the claim. A lost answer is found out by `adopt_claim`.
        """

    async def adopt_claim(self, queue: Queue, consumer: Consumer, before: bytes) -> Adopted | None:
        """Make the claim, which may be new, this consumer's and start its time anew; returns what it holds.

        :param before: the token that the same consumer had up to now: None if the claim is another's. A call
            of `lease` with that token does nothing any more. Empty: it is taken from whoever has it.
        """

    async def lapse_claim(self, queue: Queue, consumer: Consumer, seconds: float) -> None:
        """Let a consumer's claim end in so many seconds, if it is still its and does not end before."""

    async def subscribe(
        self,
        queue: Queue,
        subscriber: str,
        ttl: int,
        options: Mapping[str, Any],
        *,
        confirmed: bool,
        start: Start | None = None,
        deliver: bool = False,
    ) -> Subscribed | None:
        """Add a subscription; None if the subscriber has one.

        :param start: it has got all messages up to there already; None: all that there are.
        :param deliver: the subscriber is no socket: what is posted from now on is to be delivered to it.
        """

    async def find_gap(self, queue: Queue, position: int, timeline: bytes = b"") -> Found:
        """What those miss who have got all messages up to a position that they were told.

        :param timeline: the one that it was told on. Without it, who stands at a place that another message
            has by now is taken for one who has got that.
        """

    async def list_subscriptions(self, queue: Queue, after: int, limit: int) -> list[Subscription]:
        """Up to `limit` subscriptions with a sequence above `after`."""

    async def get_subscription(self, queue: Queue, sequence: int) -> Subscription | None:
        """One subscription, with its `delivery`."""

    async def find_subscription(self, queue: Queue, subscriber: str) -> Subscription | None:
        """The subscription of a subscriber."""

    async def update_subscription(
        self,
        queue: Queue,
        sequence: int,
        *,
        subscriber: str | None = None,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
        confirmed: bool | None = None,
        deliver: bool = False,
        keep_place: bool = False,
    ) -> bool | None:
        """Change what is given. None: there is no such subscription; False: the subscriber has another.

        Another subscriber is tried at once, however often the one before could not be reached. One that
        confirms gets what is posted from now on.

        :param deliver: the subscriber that is given is no socket (as in `subscribe`).
        :param keep_place: one that confirms got messages before too, and goes on where it stands.
        """

    async def unsubscribe(self, queue: Queue, sequence: int) -> None:
        """Remove a subscription, if it is there."""

    async def unsubscribe_subscriber(self, queue: Queue, subscriber: str) -> None:
        """Remove the subscription of a subscriber, if there is one."""

    async def sweep(self, queue: Queue) -> Swept:
        """Do what is due: end claims, delays, messages and subscriptions whose time has come."""

    async def waiting_dead_letters(self, queue: Queue, limit: int) -> list[Waiting]:
        """The first dead letters in the outbox, without those that cannot be read: they wait there."""

    async def deliver_dead_letter(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        """Put a dead letter into its queue, which is in this store. Once, however often it is called.

        It is encrypted for that queue if that demands it, or if it was before.
        """

    async def forget_dead_letter(self, source: Queue, waiting: Waiting) -> None:
        """Take a delivered dead letter out of the outbox."""

    async def dead_letter_arrived(self, source: Queue, waiting: Waiting, target: Queue) -> None:
        """It has left the outbox: the target need not remember it much longer."""

    async def durability(self) -> Durability:
        """Look at the store's persistence and memory policy. Also proves that it answers."""


class Catalog(PoolCatalog, MoveCatalog, Protocol):
    """Which queues exist, what is said of them, and which pool each lives in."""

    async def create_queue(
        self, project: str, name: str, metadata: Mapping[str, Any], most: int = 0
    ) -> tuple[Queue, bool]:
        """The queue, and whether it is new; an existing one is left as it is, in the pool that it has.

        A new one goes to a pool of the flavor that its metadata name, or of all, at random by weight.
        Of several that create it at once, all get the same row. UnknownFlavor; NoPool if none takes it;
        TooManyQueues if it would be new and the project has `most` queues (0: no limit).
        """

    async def get_queue(self, project: str, name: str) -> Queue | None:
        """One queue."""

    async def update_queue(self, queue: Queue, metadata: Mapping[str, Any]) -> bool:
        """Replace the metadata if they are still those of `queue`. False: they are not, or it is gone.

        UnknownFlavor if they name another flavor than before, which does not exist. The queue stays where it
        is.
        """

    async def delete_queue(self, queue: Queue) -> None:
        """Remove this incarnation of a queue, if it is there."""

    async def find_queues(self, name: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of this name, of any project."""

    async def list_queues(self, project: str, after: str, limit: int) -> list[Queue]:
        """Up to `limit` queues of a project by name, byte by byte, whose names come after `after`."""

    async def count_queues(self, project: str) -> int:
        """How many queues a project has."""

    async def all_queues(self, after: int, limit: int) -> list[Queue]:
        """Up to `limit` queues of all projects by incarnation, above `after`: for housekeeping."""

    async def queue_versions(self, incarnations: Collection[int]) -> dict[int, tuple[int, str]]:
        """The serials and pools of those queues that are there, by incarnation."""

    async def ping(self) -> None:
        """Prove that the catalog answers."""

"""A queue as plain Python: what a message store has to answer, to the microsecond.

It keeps the rules of protocol.md section 5 and docs/compatibility.md (13 to 17, 20, 22) in the simplest way,
and knows nothing of the store's keys. Its time stands still but for the numbers that it draws, as that of
`tests.support.store.LiveQueue` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.body import Body
from storage.records import (
    Adopted,
    Claim,
    Claimed,
    Consumer,
    DeadLetter,
    Deleted,
    Held,
    Leased,
    Message,
    NewMessage,
    Origin,
    Page,
    Room,
    Start,
    Stats,
)

SECOND = 1_000_000


@dataclass
class Kept:
    """A message in the queue."""

    sequence: int
    client: bytes
    body: Body
    ttl: int
    expires: int
    visible_at: int | None
    """When its delay ends; None once that is over."""
    position: int
    claim: bytes | None = None
    claim_count: int = 0
    origin: Origin | None = None

    @property
    def size(self) -> int:
        """Bytes of its record (storage/redis/records.py)."""
        origin = 0 if self.origin is None else 1 + len(self.origin.queue_name) + 16
        return 21 + origin + len(self.body.data)


@dataclass
class Lease:
    """A live claim."""

    since: int
    ttl: int
    token: bytes = b""
    """The consumer's; empty if it is none's."""
    ends: int = 0

    def __post_init__(self) -> None:
        self.ends = self.ends or self.since + self.ttl * SECOND


@dataclass
class Letter:
    """A dead letter that has not left the outbox."""

    message: Kept
    queue_name: str
    ttl: int | None


@dataclass
class QueueModel:
    """One queue. Each public method but `move_to` is one operation of the store."""

    now: int
    messages: dict[int, Kept] = field(default_factory=dict)
    claims: dict[bytes, Lease] = field(default_factory=dict)
    outbox: list[Letter] = field(default_factory=list)
    arrived: set[bytes] = field(default_factory=set)
    time: int = field(default=0, compare=False)
    """When the operation happens: `now` before it draws numbers."""

    # Time

    def move_to(self, time: int) -> None:
        """Let time pass up to then; it does not go back."""
        self.now = max(self.now, time)

    def boundaries(self) -> list[int]:
        """The times at which something ends."""
        ends = [lease.ends for lease in self.claims.values()]
        for message in self.messages.values():
            ends.append(message.expires)
            if message.visible_at is not None:
                ends.append(message.visible_at)
        return sorted(set(ends))

    def _draw(self) -> int:
        self.now += 1
        return self.now

    def _begin(self) -> None:
        """What every operation begins with: what has come due is done."""
        now = self.time = self.now
        for claim in [claim for claim, lease in self.claims.items() if lease.ends <= now]:
            self._end(claim)
        self.messages = {key: message for key, message in self.messages.items() if message.expires > now}
        late = [(m.visible_at, m.sequence) for m in self.messages.values() if m.visible_at is not None]
        for visible_at, sequence in sorted(late):
            if visible_at <= now:
                message = self.messages[sequence]
                message.visible_at, message.position = None, self._draw()

    def _end(self, claim: bytes) -> None:
        del self.claims[claim]
        for message in self.messages.values():
            if message.claim == claim:
                message.claim = None

    def _in_order(self) -> list[Kept]:
        return sorted(self.messages.values(), key=lambda message: message.position)

    def _free(self) -> list[Kept]:
        return [m for m in self._in_order() if m.claim is None and m.visible_at is None]

    # Messages

    def post(self, messages: list[NewMessage], client: bytes, room: Room) -> list[int] | str:
        """The sequences; or the limit that keeps them out."""
        self._begin()
        if room.messages and len(self.messages) + len(self.outbox) + len(messages) > room.messages:
            return "max_queue_messages"
        more = sum(21 + len(message.body.data) for message in messages)
        if room.bytes and self._size() + more > room.bytes:
            return "max_queue_bytes"
        drawn = []
        for message in messages:
            number = self._draw()
            visible_at = number + message.delay * SECOND if message.delay else None
            expires = number + message.ttl * SECOND
            kept = Kept(number, client, message.body, message.ttl, expires, visible_at, number)
            self.messages[number] = kept
            drawn.append(number)
        return drawn

    def list_messages(
        self, start: Start, limit: int, *, not_from: bytes | None, claimed: bool, delayed: bool
    ) -> Page:
        self._begin()
        after = start.number
        if start.is_sequence and after in self.messages:
            after = self.messages[after].position
        looked_at = [
            message
            for message in self._in_order()
            if message.position > after
            and (claimed or message.claim is None)
            and (delayed or message.visible_at is None)
        ]
        found = [message for message in looked_at if message.client != not_from][:limit]
        last = (found if len(found) == limit else looked_at)[-1:]
        return Page([self._told(message) for message in found], last[0].position if last else after)

    def get_messages(self, sequences: list[int]) -> list[Message | None]:
        self._begin()
        found = [self.messages.get(sequence) for sequence in sequences]
        return [None if message is None else self._told(message) for message in found]

    def delete_message(self, sequence: int, claim: bytes | None) -> Deleted:
        self._begin()
        message = self.messages.get(sequence)
        answer = Deleted.DONE
        if message is None:
            return answer
        if claim is None:
            answer = Deleted.DONE if message.claim is None else Deleted.CLAIMED
        elif claim not in self.claims:
            answer = Deleted.NO_SUCH_CLAIM
        elif message.claim is None:
            answer = Deleted.NOT_CLAIMED
        elif message.claim != claim:
            answer = Deleted.OTHER_CLAIM
        if answer is Deleted.DONE:
            del self.messages[sequence]
        return answer

    def delete_messages(self, sequences: list[int], claims: list[bytes] | None) -> bool:
        self._begin()
        found = {sequence for sequence in sequences if sequence in self.messages}
        if claims is not None and any(self.messages[sequence].claim not in claims for sequence in found):
            return False
        for sequence in found:
            del self.messages[sequence]
        return True

    def stats(self) -> Stats:
        self._begin()
        everything = [self._told(message) for message in self._in_order()]
        free = len(self._free())
        delayed = sum(message.visible_at is not None for message in self.messages.values())
        ends = (everything[0], everything[-1]) if everything else (None, None)
        return Stats(free, len(everything) - free - delayed, delayed, *ends)

    def sweep(self) -> tuple[int, int]:
        """Dead letters that wait, and bytes of the messages."""
        self._begin()
        return len(self.outbox), self._size()

    def _size(self) -> int:
        return sum(message.size for message in self.messages.values())

    def purge(self) -> None:
        self._begin()
        self.messages.clear()
        self.claims.clear()

    # Claims

    def claim(
        self,
        claim: bytes,
        ttl: int,
        grace: int,
        limit: int,
        dead_letter: DeadLetter | None,
        *,
        pop: bool = False,
    ) -> Claimed:
        dead_lettered = 0
        while True:
            # As long as all that was free has died: what was done may have brought the time to more.
            messages, dead = self._claim_once(claim, ttl, grace, limit, dead_letter, pop)
            dead_lettered += dead
            if messages or not dead:
                return Claimed(messages, dead_lettered)

    def _claim_once(
        self, claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None, pop: bool
    ) -> tuple[list[Message], int]:
        self._begin()
        if claim in self.claims:
            return [self._told(message) for message in self._held(claim)], 0
        taken, dead = self._take(claim, ttl, grace, limit, dead_letter, pop=pop)
        if taken and not pop:
            self.claims[claim] = Lease(self.time, ttl)
        return taken, dead

    def _take(
        self, claim: bytes, ttl: int, grace: int, limit: int, dead_letter: DeadLetter | None, *, pop: bool
    ) -> tuple[list[Message], int]:
        taken: list[Message] = []
        dead = 0
        for message in self._free():
            if len(taken) == limit:
                break
            if dead_letter is not None and message.claim_count >= dead_letter.max_claim_count:
                del self.messages[message.sequence]
                self.outbox.append(Letter(message, dead_letter.queue_name, dead_letter.ttl))
                dead += 1
                continue
            message.claim, message.claim_count = claim, message.claim_count + 1
            if pop:
                del self.messages[message.sequence]
            else:
                self._keep_alive(message, ttl, grace)
            taken.append(self._told(message))
        return taken, dead

    def _keep_alive(self, message: Kept, ttl: int, grace: int) -> None:
        ends = self.time + ttl * SECOND
        if message.expires < ends:
            if ends - message.expires >= SECOND:  # clients see whole seconds
                message.ttl = ttl + grace
            message.expires = ends + grace * SECOND

    def get_claim(self, claim: bytes) -> Claim | None:
        self._begin()
        lease = self.claims.get(claim)
        if lease is None:
            return None
        held = [self._told(message) for message in self._held(claim)]
        return Claim((self.time - lease.since) // SECOND, lease.ttl, held)

    def update_claim(self, claim: bytes, ttl: int, grace: int) -> bool:
        self._begin()
        if claim not in self.claims:
            return False
        for message in self._held(claim):
            self._keep_alive(message, ttl, grace)
        self.claims[claim] = Lease(self.time, ttl, self.claims[claim].token)
        return True

    def release_claim(self, claim: bytes, token: bytes | None = None) -> None:
        self._begin()
        if claim in self.claims and token in (None, self.claims[claim].token):
            self._end(claim)

    def release_messages(self, sequences: list[int], claim: bytes) -> None:
        self._begin()
        for message in self._held(claim):
            if message.sequence in sequences:
                message.claim = None

    # Consumers

    def lease(
        self, consumer: Consumer, limit: int, sharing: int, dead_letter: DeadLetter | None
    ) -> Leased | None:
        self._begin()
        claim, token, ttl, grace, credit = consumer
        if self._is_of_another(claim, token):
            return None
        before = self._held(claim)
        share = -(-len(self._free()) // sharing)
        most = max(0, min(limit, credit - len(before), share))
        taken, dead = self._take(claim, ttl, grace, most, dead_letter, pop=False) if most else ([], 0)
        if taken:
            for message in before:
                self._keep_alive(message, ttl, grace)
            self.claims[claim] = Lease(self.time, ttl, token)
        free = len(self._free())
        ends = [lease.ends for lease in self.claims.values()]
        ends += [message.visible_at for message in self.messages.values() if message.visible_at is not None]
        due_in = None if free or not ends else max(0, min(ends) - self.time) / SECOND
        return Leased(taken, dead, len(before) + len(taken), free, due_in)

    def adopt_claim(self, consumer: Consumer, before: bytes) -> Adopted | None:
        self._begin()
        claim, token, ttl, grace, _ = consumer
        if before and self._is_of_another(claim, token) and self.claims[claim].token != before:
            return None
        for message in self._held(claim):
            self._keep_alive(message, ttl, grace)
        self.claims[claim] = Lease(self.time, ttl, token)
        if not before:
            self._draw()
        return Adopted(self.now, [Held(each.sequence, each.claim_count) for each in self._held(claim)])

    def lapse_claim(self, consumer: Consumer, seconds: float) -> None:
        self._begin()
        lease = self.claims.get(consumer.claim)
        soon = self.time + round(seconds * SECOND)
        if lease is not None and lease.token == consumer.token and soon < lease.ends:
            lease.ttl = max(0, -(-(soon - lease.since) // SECOND))
            lease.ends = soon

    def _is_of_another(self, claim: bytes, token: bytes) -> bool:
        return claim in self.claims and self.claims[claim].token not in (b"", token)

    def _held(self, claim: bytes) -> list[Kept]:
        return [message for message in self._in_order() if message.claim == claim]

    # Dead letters

    def deliver(self, letter: Letter, origin: Origin) -> None:
        """Take a dead letter of another queue; a second time it changes nothing."""
        self._begin()
        if origin.message_id in self.arrived:
            return
        self.arrived.add(origin.message_id)
        number = self._draw()
        was = letter.message
        expires = was.expires if letter.ttl is None else number + letter.ttl * SECOND
        ttl = -(-(expires - number) // SECOND)  # whole seconds, rounded up
        if expires > self.time:
            self.messages[number] = Kept(
                number, was.client, was.body, ttl, expires, None, number, origin=origin
            )

    def _told(self, message: Kept) -> Message:
        return Message(
            message.sequence,
            message.position,
            message.ttl,
            (self.time - message.sequence) // SECOND,
            message.body,
            message.claim,
            message.claim_count,
            None,
            message.origin,
        )

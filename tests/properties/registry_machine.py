"""Who delivers for which queue: a store's registry against a plain model, on a clock that is moved."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from storage.redis.delivery_registry import LONGEST_LEASE, STAYS, DeliveryQueue, DeliveryRegistry
from storage.redis.store import RedisStore
from tests.support.deliveries import ALPHA, OMEGA
from tests.support.reactor import run
from tests.support.store import SECOND, new_queue

KEYS = (b"zg:{deliveries}:queues", b"zg:{deliveries}:terms")
QUEUES = 4

owners = st.sampled_from([ALPHA, OMEGA])
which = st.integers(0, QUEUES - 1)
several = st.sets(which)
leases = st.integers(30, int(LONGEST_LEASE))
"""Seconds: more than the server's own clock goes on between two steps."""

STEP = LONGEST_LEASE + 10
"""Seconds: after that all leases are over, and what was added may be removed."""


@dataclass
class Entry:
    """A queue in the registry. Times are in seconds of the moved clock."""

    added: float
    generation: int
    """How often it was added."""
    owner: bytes = b""
    ends: float = 0


class RegistryMachine(RuleBasedStateMachine):
    """A registry that begins empty. Queues are added and removed, and leased by two."""

    def __init__(self, store: RedisStore) -> None:
        super().__init__()
        run(lambda: store.client.execute("DEL", *KEYS, key=KEYS[0]))
        self.registry = DeliveryRegistry(store.client)
        self.queues = [DeliveryQueue.of(new_queue(f"queue-{number}")) for number in range(QUEUES)]
        self.now = 0.0
        self.added = 0
        self.entries: dict[int, Entry] = {}
        self.known: dict[int, tuple[int, int]] = {}
        """Generations that somebody was told: the store's, and the model's."""

    def told(self, found: dict[DeliveryQueue, int]) -> set[int]:
        """Which queues these are; their generations are kept."""
        numbers = {self.queues.index(queue) for queue in found}
        for number in numbers:
            generation = found[self.queues[number]]
            before = self.known.get(number)
            entry = self.entries[number]
            if before is not None:
                assert (generation > before[0]) == (entry.generation > before[1])
                assert (generation == before[0]) == (entry.generation == before[1])
            self.known[number] = generation, entry.generation
        return numbers

    @rule(number=which)
    def add(self, number: int) -> None:
        run(self.registry.add, self.queues[number])
        self.added += 1
        entry = self.entries.setdefault(number, Entry(self.now, self.added))
        entry.added, entry.generation = self.now, self.added

    @rule(owner=owners, limit=st.integers(0, QUEUES), lease=leases)
    def take(self, owner: bytes, limit: int, lease: int) -> None:
        numbers = self.told(run(self.registry.take, owner, limit, lease))
        free = {number for number, entry in self.entries.items() if entry.ends <= self.now}
        assert numbers <= free
        assert len(numbers) == min(limit, len(free))
        for number in numbers:
            self.entries[number].owner, self.entries[number].ends = owner, self.now + lease

    @rule(owner=owners, numbers=several, lease=leases)
    def keep(self, owner: bytes, numbers: set[int], lease: int) -> None:
        named = [self.queues[number] for number in numbers]
        kept = self.told(run(self.registry.keep, owner, named, lease))
        assert kept == self.owned(owner) & numbers
        for number in kept:
            self.entries[number].ends = self.now + lease

    @rule(owner=owners, numbers=several)
    def release(self, owner: bytes, numbers: set[int]) -> None:
        run(self.registry.release, owner, [self.queues[number] for number in numbers])
        for number in self.owned(owner) & numbers:
            self.entries[number].owner, self.entries[number].ends = b"", 0

    @rule(numbers=several)
    def remove(self, numbers: set[int]) -> None:
        """With the generations that were told last."""
        named = {number: self.known[number] for number in numbers if number in self.known}
        asked = {self.queues[number]: generation for number, (generation, _) in named.items()}
        gone = {self.queues.index(queue) for queue in run(self.registry.remove, asked)}
        for number, (_, generation) in named.items():
            entry = self.entries.get(number)
            if entry and entry.generation == generation and entry.added + STAYS <= self.now:
                del self.entries[number]
        assert gone == named.keys() - self.entries.keys()

    @rule(seconds=st.integers(1, 5).map(lambda steps: steps * STEP))
    def wait(self, seconds: float) -> None:
        self.registry.clock_offset += int(seconds * SECOND)
        self.now += seconds

    def owned(self, owner: bytes) -> set[int]:
        return {number for number, entry in self.entries.items() if entry.owner == owner}

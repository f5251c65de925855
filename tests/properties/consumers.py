"""Consumers of two nodes on one real store, while sockets, connections, answers and time come and go.

After each step all has to come to rest where it should: what is leased to a consumer was pushed to its
socket, once for each lease; nobody holds more than the credit; nothing is free that somebody would take;
nothing is lost.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from storage.catalog.sql import SQLCatalog
from storage.records import Message, Start
from storage.redis.store import RedisStore
from tests.properties.push_model import PushModel
from tests.support.consumers import GRACE, Node, Socket, sequence_of
from tests.support.reactor import eventually, run
from tests.support.store import STARTED_AT, LiveQueue

PATIENCE = 30.0
"""Seconds in which all must come to rest."""

MOST = 60
"""Messages in the queue, at the most."""

TTL = 36_000
"""Seconds that they live: longer than all waits."""

picks = st.integers(0, 5)
nodes = st.integers(0, 1)
credits = st.integers(1, 8)
_names = (f"jobs-{number}" for number in itertools.count())


@dataclass
class Job:
    """A consumer, as the test knows it. `node` is None when its socket has closed."""

    claim: bytes
    credit: int
    node: Node | None
    socket: Socket
    allowed: int
    """How many messages it may hold: more than its credit if that was lowered."""


class WorkersMachine(RuleBasedStateMachine):
    """A queue whose time stands still, two nodes, and a store to look at it."""

    def __init__(self, both: list[Node], watcher: RedisStore, catalog: SQLCatalog) -> None:
        super().__init__()
        self.nodes = both
        self.live = LiveQueue(watcher)
        self.live.queue, _ = run(catalog.create_queue, "project", next(_names), {})
        run(watcher.create, self.live.queue)
        self.live.move_to(STARTED_AT)
        for node in both:
            node.store.scripts.clock_offset = watcher.scripts.clock_offset
        self.jobs: list[Job] = []
        self.sockets: list[Socket] = []
        self.model = PushModel()
        self.late: set[int] = set()
        self.number = 0

    def teardown(self) -> None:
        for job in self.jobs:
            if job.node is not None:
                run(job.node.close, job.socket)

    # Steps

    @initialize(node=nodes, credit=credits)
    def begin(self, node: int, credit: int) -> None:
        self.subscribe(node, credit)

    @precondition(lambda self: len(self.jobs) < 6)
    @rule(node=nodes, credit=credits)
    def subscribe(self, node: int, credit: int) -> None:
        socket = self.new_socket()
        claim = run(self.nodes[node].subscribe, socket, self.live.queue, credit)
        self.jobs.append(Job(claim, credit, self.nodes[node], socket, credit))
        self.settle()

    # Who is leased what, and so how much is left, hangs on when servers answer: no precondition may.

    @rule(count=st.integers(1, 12), delay=st.just(0) | st.integers(1, 20))
    def post(self, count: int, delay: int) -> None:
        if len(self.model.items) < MOST:
            self.put(count, delay)
        self.settle()

    @rule(node=nodes)
    def post_and_lose_an_answer(self, node: int) -> None:
        self.nodes[node].store.losing = 1
        self.post(3, 0)
        self.nodes[node].store.losing = 0

    @rule(which=picks, count=st.integers(1, 4), elsewhere=st.booleans())
    def acknowledge(self, which: int, count: int, elsewhere: bool) -> None:
        for job in self.pick(which):
            held = self.held(job)[:count]
            for message in held:
                if elsewhere:
                    self.live.delete_many(message.sequence)
                else:
                    self.live.delete(message.sequence, job.claim)
                self.model.remove(message.sequence, "deleted")
        self.settle()

    @rule(which=picks, count=st.integers(1, 4))
    def give_back(self, which: int, count: int) -> None:
        for job in self.pick(which):
            sequences = [message.sequence for message in self.held(job)[:count]]
            run(self.live.store.release_messages, self.live.queue, sequences, job.claim)
        self.settle()

    @rule(which=picks)
    def give_all_back(self, which: int) -> None:
        for job in self.pick(which):
            self.live.release(job.claim)
        self.settle()

    @rule(which=picks)
    def close(self, which: int) -> None:
        for job in self.pick(which):
            if job.node is not None:
                run(job.node.close, job.socket)
                job.node = None
        self.settle()

    @rule(which=picks, node=nodes, credit=credits)
    def come_back(self, which: int, node: int, credit: int) -> None:
        """Or take over, where the socket has not closed."""
        for job in self.pick(which):
            # Until the store knows of the new consumer, leases for the old one may still be on their way.
            job.allowed = max(credit, job.allowed)
            socket = self.new_socket()
            run(lambda: self.nodes[node].subscribe(socket, self.live.queue, credit, job.claim))  # noqa: B023  # run now
            job.socket, job.node, job.credit = socket, self.nodes[node], credit
        self.settle()

    @rule(which=picks)
    def unsubscribe(self, which: int) -> None:
        for job in self.pick(which):
            if job.node is not None:
                run(job.node.unsubscribe, job.socket, self.live.queue, job.claim)
                self.jobs.remove(job)
        self.settle()

    @rule(which=picks)
    def stop_reading(self, which: int) -> None:
        for job in self.pick(which):
            job.socket.willing = False
        self.settle()

    @rule(which=picks)
    def read_on(self, which: int) -> None:
        for job in self.pick(which):
            if job.node is not None and not job.socket.willing:
                job.socket.willing = True
                run(job.node.consumers.writable, job.socket)
        self.settle()

    @rule(count=st.integers(1, 3))
    def cut_the_announcements(self, count: int) -> None:
        async def cut() -> None:
            for _ in range(count):
                await self.live.store.client.execute("CLIENT", "KILL", "TYPE", "pubsub")

        run(cut)
        self.post(1, 0)

    @rule(seconds=st.sampled_from([1, GRACE, 30, 60, 61]))
    def wait(self, seconds: float) -> None:
        self.live.advance(seconds)
        now = self.live.now
        # What the nodes' timers do, which are of the clock on the wall.
        run(self.live.store.sweep, self.live.queue)
        self.model.show(now, self.live.page(Start(self.model.visible), claimed=True).messages)
        self.settle()

    @rule()
    def purge(self) -> None:
        self.live.purge(subscriptions=False)
        self.model.purge()
        self.settle()

    # What has to be

    def put(self, count: int, delay: int) -> None:
        values = range(self.number, self.number + count)
        self.number += count
        self.late |= set(values) if delay else set()
        self.model.post(self.live.post(*values, delay=delay, ttl=TTL), values, TTL, delay)

    def new_socket(self) -> Socket:
        self.sockets.append(Socket())
        return self.sockets[-1]

    def pick(self, which: int) -> list[Job]:
        """One of the consumers, if there is one."""
        return self.jobs[which % len(self.jobs) :][:1] if self.jobs else []

    def held(self, job: Job) -> list[Message]:
        found = self.live.held_by(job.claim)
        return [] if found is None else found.messages

    def settle(self) -> None:
        """All comes to rest where it should."""
        said = [""]

        async def at_rest() -> bool:
            said[0] = await self.amiss()
            return not said[0]

        async def wait() -> None:
            try:
                await eventually(at_rest, timeout=PATIENCE)
            except AssertionError:
                raise AssertionError(said[0]) from None

        run(wait)
        self.check_what_was_pushed()

    async def amiss(self) -> str:
        """What is not yet as it should be."""
        store, queue = self.live.store, self.live.queue
        page = await store.list_messages(queue, Start(), 1000, include_claimed=True, include_delayed=True)
        there = {message.sequence: message for message in page.messages}
        if there.keys() != self.model.items.keys():
            return f"there are {sorted(there)}, not {sorted(self.model.items)}"
        by_claim = Counter(message.claim_id for message in there.values())
        free = (await store.list_messages(queue, Start(), 1000)).messages
        for job in self.jobs:
            takes = job.node is not None and job.socket.willing
            if takes and free and by_claim[job.claim] < job.credit:
                return f"{len(free)} are free, and {job.claim!r} holds {by_claim[job.claim]} of {job.credit}"
            pushed = {(sequence_of(each), each["claim_count"]) for each in job.socket.messages(job.claim)}
            held = {(m.sequence, m.claim_count) for m in there.values() if m.claim_id == job.claim}
            if takes and not held <= pushed:
                return f"{job.claim!r} was not told of {held - pushed}"
        return ""

    def check_what_was_pushed(self) -> None:
        leased_to: dict[tuple[int, int], bytes] = {}
        for socket in self.sockets:
            seen: Counter[tuple[int, int]] = Counter()
            for event in socket.events:
                for message in event.get("messages", []):
                    lease = sequence_of(message), message["claim_count"]
                    seen[lease] += 1
                    assert leased_to.setdefault(lease, event["claim_id"]) == event["claim_id"], "leased twice"
            assert not seen or max(seen.values()) == 1, "pushed twice to one socket"
            # What was leased before comes again at its old place, and what was delayed has a later one.
            firsts = [each["body"] for each in socket.messages() if each["claim_count"] == 1]
            order = [body for body in firsts if body not in self.late]
            assert order == sorted(order), "out of order"
        for job in self.jobs:
            held = len(self.held(job))
            assert held <= job.allowed, "more than the credit"
            job.allowed = max(job.credit, held)

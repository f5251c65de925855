"""All that is pushed by two nodes at once: subscribers and consumers of one queue, against one model of it.

To the rules for consumers come those for sockets that are subscribed, on either node, with or without the
extension. Each step changes the queue for all of them, and after each step all has to come to rest.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from storage.records import Deleted
from tests.properties.consumers import MOST, WorkersMachine, nodes, picks
from tests.properties.readers import Readers
from tests.support.reactor import wait_until

MOST_READERS = 5

has_room = precondition(lambda self: len(self.readers) < MOST_READERS)
has_some = precondition(lambda self: len(self.readers) > 0)


class NodesMachine(WorkersMachine):
    """Subscribers beside the consumers."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.readers = Readers(self.model, self.live.queue)

    @has_room
    @rule(node=nodes, extended=st.booleans())
    def read(self, node: int, extended: bool) -> None:
        self.readers.subscribe(self.nodes[node], extended=extended)
        self.settle()

    @has_room
    @rule(node=nodes)
    def read_from_the_beginning(self, node: int) -> None:
        self.readers.begin(self.nodes[node])
        self.settle()

    @has_room
    @precondition(lambda self: self.readers.left)
    @rule(node=nodes, which=picks)
    def resume_reading(self, node: int, which: int) -> None:
        self.readers.resume(self.nodes[node], which)
        self.settle()

    @has_some
    @rule(which=picks)
    def leave_off(self, which: int) -> None:
        self.readers.leave(which)
        self.settle()

    @has_some
    @rule(which=picks)
    def be_slow(self, which: int) -> None:
        self.readers.be_slow(which)
        self.settle()

    @rule()
    def take_more(self) -> None:
        self.readers.take_more()
        self.settle()

    @rule(which=picks)
    def delete(self, which: int) -> None:
        """Any message, if no claim holds it."""
        sequences = sorted(self.model.items)
        for sequence in sequences[which % len(sequences) :][:1] if sequences else []:
            if self.live.delete(sequence) is Deleted.DONE:
                self.model.remove(sequence, "deleted")
        self.settle()

    @has_some
    @rule(which=picks, count=st.integers(1, 3))
    def lose_announcements(self, which: int, count: int) -> None:
        """The subscribers of a node hear only of the message after them."""
        if len(self.model.items) >= MOST:
            return
        node: Any = self.readers.node_of(which)
        node.losing = count
        for _ in range(count):
            self.put(1, 0)
        with suppress(AssertionError):  # where the node has yet to listen again, it hears of none
            wait_until(lambda: not node.losing, timeout=1)
        node.losing = 0
        self.post(1, 0)

    async def amiss(self) -> str:
        said = await super().amiss()
        missing = self.readers.missing()
        return said or (f"{sorted(missing)} did not come to all" if missing else "")

    def check_what_was_pushed(self) -> None:
        super().check_what_was_pushed()
        self.readers.check()

    def teardown(self) -> None:
        self.take_more()
        self.readers.close()
        super().teardown()

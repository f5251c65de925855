"""Announcements of one turn of the reactor are pushed together, whatever comes between."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.push.feed import joined
from protocol.body import Body, Form
from storage.events import Announced, Ended
from storage.records import Message
from tests.support.hub import Node, Socket
from tests.support.reactor import eventually, run


def message(position: int) -> Message:
    return Message(position, position, 60, 0, Body(Form.JSON, b"%d" % position), None, 0, None, None)


def announced(before: int, *positions: int) -> Announced:
    return Announced(before, positions[-1], [message(position) for position in positions])


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([announced(0, 1)], [announced(0, 1)]),
        ([announced(0, 1), announced(1, 2, 3), announced(3, 4)], [announced(0, 1, 2, 3, 4)]),
        # Told twice, wholly and in part.
        ([announced(0, 1, 2), announced(1, 2), announced(1, 2, 3)], [announced(0, 1, 2, 3)]),
        # One was missed, or is too large to be told: what comes behind is for itself.
        ([announced(0, 1), announced(2, 3), announced(3, 4)], [announced(0, 1), announced(2, 3, 4)]),
        (
            [announced(0, 1), Announced(1, 2, None), announced(2, 3), announced(3, 4)],
            [announced(0, 1), Announced(1, 2, None), announced(2, 3, 4)],
        ),
        # Another server goes on: nothing of it follows on what the one before has told.
        (
            [announced(0, 1), announced(1, 2)._replace(timeline=b"another.")],
            [announced(0, 1), announced(1, 2)._replace(timeline=b"another.")],
        ),
    ],
)
def test_what_follows_on_each_other_is_one(events: list[Announced], expected: list[Announced]) -> None:
    before = [event._replace(messages=event.messages and list(event.messages)) for event in events]
    assert joined(events) == expected
    assert events == before


@dataclass(eq=False)
class Recorder(Socket):
    """Notes what each push held, and whether it was the only one of the turn; fails if it is told to."""

    pushes: list[tuple[list[int], bool]] = field(default_factory=list)
    broken: bool = False

    def push(self, frames: bytes, at_once: bool = False) -> bool:
        if self.broken:
            self.broken = False
            raise OSError("broken")
        known = len(self.numbers)
        taken = super().push(frames, at_once)
        self.pushes.append((self.numbers[known:], at_once))
        return taken


def test_announcements_of_one_turn_are_pushed_in_one_piece(node: Node) -> None:
    socket = Recorder()

    async def scenario() -> None:
        at = await node.subscribe(socket)
        assert at is not None
        incarnation = node.queue.incarnation
        for number in range(1, 4):
            node.hub.told(incarnation, announced(0 if number == 1 else at + number - 1, at + number))
        assert socket.pushes == []
        await eventually(lambda: socket.pushes)
        assert socket.pushes == [([at + 1, at + 2, at + 3], True)]
        assert node.pushed == 3
        node.hub.told(incarnation, announced(at + 3, at + 4))
        await eventually(lambda: len(socket.pushes) == 2)
        assert socket.pushes[1] == ([at + 4], True)

    run(scenario)


def test_of_several_queues_in_one_turn_none_is_the_only_one(node: Node) -> None:
    socket = Recorder()

    async def scenario() -> None:
        queues = [node.queue, await node.new_queue("other")]
        last = 0
        for queue in queues:
            at = await node.subscribe(socket, queue)
            assert at is not None
            node.hub.told(queue.incarnation, announced(0, at + 1))
            await eventually(lambda: socket.pushes)
            assert socket.pushes.pop() == ([at + 1], True)
            last = max(last, at + 2)
        for queue in queues:
            node.hub.told(queue.incarnation, announced(0, last))
        await eventually(lambda: len(socket.pushes) == 2)
        assert socket.pushes == [([last], False), ([last], False)]

    run(scenario)


def test_what_was_announced_before_the_end_of_a_subscription_comes_before_it(node: Node) -> None:
    socket = Recorder(extended=True)

    async def scenario() -> None:
        at = await node.subscribe(socket)
        assert at is not None
        node.hub.told(node.queue.incarnation, announced(0, at + 1))
        node.hub.told(node.queue.incarnation, Ended(at, 0, "deleted"))
        node.hub.told(node.queue.incarnation, announced(at + 1, at + 2))
        assert socket.came == ["message", "subscription_ended"]
        await eventually(lambda: not node.hub._fresh)
        assert socket.markers == [at + 1]

    run(scenario)


def test_a_push_that_fails_loses_nothing(node: Node) -> None:
    sockets = [Recorder() for _ in range(3)]

    async def scenario() -> None:
        for socket in sockets:
            await node.subscribe(socket)
        sockets[1].broken = True
        await node.post(1)
        await eventually(lambda: all(socket.numbers == [1] for socket in sockets))
        await node.post(2)
        await eventually(lambda: all(socket.numbers == [1, 2] for socket in sockets))

    run(scenario)

"""The bytes of projects, added up from what their queues say and what this process posts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from gateway.limits.usage import Usage
from protocol.errors import ProjectFull
from storage.records import Queue

MOST = 100


def queue(project: str, incarnation: int = 1) -> Queue:
    return Queue(project, f"q{incarnation}", incarnation)


def room(usage: Usage, project: str) -> int:
    """How many bytes a project may still post."""
    for more in range(MOST, -1, -1):
        try:
            usage.check(project, more)
        except ProjectFull:
            continue
        return more
    return -1


def test_what_this_process_posts_counts_at_once() -> None:
    usage = Usage(MOST)
    assert room(usage, "p") == 100
    usage.posted(queue("p", 1), 30)
    usage.posted(queue("p", 1), 30)
    usage.posted(queue("p", 2), 30)
    assert room(usage, "p") == 10
    assert room(usage, "other") == 100
    with pytest.raises(ProjectFull, match="100 bytes") as refused:
        usage.check("p", 11)
    assert (refused.value.status, refused.value.code) == (413, "project_full")


def test_what_a_queue_says_is_what_counts() -> None:
    usage = Usage(MOST)
    usage.posted(queue("p"), 80)
    usage.measured(queue("p"), 20)
    assert room(usage, "p") == 80
    usage.measured(queue("p"), 120)
    assert room(usage, "p") == -1


def test_a_queue_that_is_gone_is_forgotten_after_a_round() -> None:
    usage = Usage(MOST)
    usage.measured(queue("p", 1), 50)
    usage.measured(queue("p", 2), 30)
    usage.end_round()
    assert room(usage, "p") == 20
    usage.measured(queue("p", 2), 30)
    usage.end_round()
    assert room(usage, "p") == 70


def test_a_queue_that_cannot_be_measured_keeps_its_size() -> None:
    usage = Usage(MOST)
    usage.measured(queue("p"), 50)
    for _ in range(3):
        usage.end_round()
        usage.seen(queue("p"))
    usage.end_round()
    assert room(usage, "p") == 50


def test_a_queue_that_the_round_has_passed_by_already_is_not_forgotten() -> None:
    usage = Usage(MOST)
    usage.posted(queue("p"), 50)
    usage.end_round()
    assert room(usage, "p") == 50


class UsageMachine(RuleBasedStateMachine):
    """Queues that come, grow, shrink and go: after two rounds, each project has what its queues have."""

    queues = st.integers(0, 5)

    def __init__(self) -> None:
        super().__init__()
        self.usage = Usage(MOST)
        self.sizes: dict[int, int] = {}
        self.made = 0

    def pick(self, number: int) -> int:
        return sorted(self.sizes)[number % len(self.sizes)]

    @rule()
    def create(self) -> None:
        self.made += 1
        self.sizes[self.made] = 0

    @precondition(lambda self: self.sizes)
    @rule(number=queues, more=st.integers(1, 20), here=st.booleans())
    def post(self, number: int, more: int, here: bool) -> None:
        found = self.pick(number)
        self.sizes[found] += more
        if here:
            self.usage.posted(owned(found), more)

    @precondition(lambda self: self.sizes)
    @rule(number=queues)
    def empty(self, number: int) -> None:
        self.sizes[self.pick(number)] = 0

    @precondition(lambda self: self.sizes)
    @rule(number=queues)
    def remove(self, number: int) -> None:
        del self.sizes[self.pick(number)]

    @rule()
    def go_round(self) -> None:
        for _ in range(2):  # what was removed since the last one is forgotten at the end of the next
            for number, size in self.sizes.items():
                self.usage.seen(owned(number))
                self.usage.measured(owned(number), size)
            self.usage.end_round()
        for project in PROJECTS:
            size = sum(size for number, size in self.sizes.items() if owned(number).project == project)
            assert room(self.usage, project) == max(-1, MOST - size)


PROJECTS = ("a", "b")


def owned(number: int) -> Queue:
    """The queue of this number: every other is of the other project."""
    return queue(PROJECTS[number % 2], number)


TestUsage: Any = UsageMachine.TestCase
TestUsage.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)

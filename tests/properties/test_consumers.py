"""What two nodes push, against what they promise (docs/streaming-claims.md, docs/architecture.md).

Consumers alone, and together with subscribers: those need more steps until the same consumer is met again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.push.tail import Tail
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.redis.store import RedisStore
from tests.properties import consumers
from tests.properties.consumers import WorkersMachine
from tests.properties.nodes_machine import NodesMachine
from tests.properties.playing import find, plant, play
from tests.properties.test_store_model import MUTANTS
from tests.support.consumers import Node
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import connected

World = tuple[list[Node], RedisStore, SQLCatalog]
"""What the machines are given."""


@pytest.fixture
def world(valkey: Server, tmp_path: Path) -> Iterator[World]:
    """Two nodes, a store to look at what they do, and their catalog."""
    valkey.client().flushall()
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    nodes = [Node(valkey.url, catalog) for _ in range(2)]
    with connected(valkey) as watcher:
        for node in nodes:
            run(node.start)
        yield nodes, watcher, catalog
        for node in nodes:
            run(node.stop)
    run(catalog.stop)


@pytest.mark.timeout(900)
def test_consumers_get_what_they_are_promised(world: World) -> None:
    play(partial(WorkersMachine, *world), max_examples=60, stateful_step_count=40)


@pytest.mark.timeout(900)
def test_subscribers_and_consumers_get_what_they_are_promised(world: World) -> None:
    play(partial(NodesMachine, *world), max_examples=40, stateful_step_count=40)


def found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine finds what was planted."""
    monkeypatch.setattr(consumers, "PATIENCE", 1.0)
    find(partial(NodesMachine, *world), max_examples=300, stateful_step_count=40)


@pytest.mark.timeout(300)
def test_the_machine_finds_a_tail_that_takes_each_announcement_for_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Tail.take

    def take_as_the_next(tail: Tail, before: int, *told: Any, **how: Any) -> None:
        take(tail, min(before, tail._position or 0), *told, **how)

    monkeypatch.setattr(Tail, "take", take_as_the_next)
    found(world, monkeypatch)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", ["a double claim", "more than the credit"])
def test_the_machine_finds_what_is_planted_in_the_store(
    mutant: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, *MUTANTS[mutant])
    found(world, monkeypatch)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [WorkersMachine, NodesMachine])
def test_all_get_what_they_are_promised_at_length(machine: type[WorkersMachine], world: World) -> None:
    play(partial(machine, *world), max_examples=400, stateful_step_count=80)

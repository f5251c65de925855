"""A queue that moves to and fro between a Valkey and a Redis, against a plain model that knows of no move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from storage import mover
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.pools import Pool
from storage.redis import moving
from tests.properties.moving_machine import MovingMachine
from tests.properties.playing import find, plant, play
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import connected

Machine = partial[MovingMachine]


@pytest.fixture
def machine(
    valkey: Server, redis7: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """Makes machines, whose movers take small steps."""
    for module, name, value in (
        *((moving, "ITEMS", 5), (moving, "CHANGES", 4)),
        *((mover, "FEW", 3), (mover, "FENCE", 60), (mover, "PATIENCE", 30), (mover, "RECORD", 0)),
    ):
        monkeypatch.setattr(module, name, value)
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    run(catalog.create_pool, Pool("there", "redis://there", weight=0))
    with ExitStack() as stack:
        stores = tuple(
            (stack.enter_context(connected(server)), stack.enter_context(connected(server)))
            for server in (valkey, redis7)
        )
        yield partial(MovingMachine, stores, catalog)
    run(catalog.stop)


@pytest.mark.timeout(900)
def test_a_queue_that_moves_does_as_the_model_says(machine: Machine) -> None:
    play(machine, max_examples=60, stateful_step_count=150)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_queue_that_moves_does_as_the_model_says_at_length(machine: Machine) -> None:
    play(machine, max_examples=500, stateful_step_count=400)


def test_the_machine_finds_a_change_that_is_not_noted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, 'note("c", { claim })', "")
    find(machine, max_examples=200, stateful_step_count=100)

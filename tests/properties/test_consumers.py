"""Streaming claims of several nodes against what they promise (docs/streaming-claims.md)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from tests.properties.consumers import WorkersMachine
from tests.support.consumers import Node
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import connected

Machine = partial[WorkersMachine]


@pytest.fixture
def machine(valkey: Server, tmp_path: Path) -> Iterator[Machine]:
    """Makes machines on two nodes."""
    valkey.client().flushall()
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    nodes = [Node(valkey.url, catalog) for _ in range(2)]
    with connected(valkey) as watcher:
        for node in nodes:
            run(node.start)
        yield partial(WorkersMachine, nodes, watcher, catalog)
        for node in nodes:
            run(node.stop)
    run(catalog.stop)


def play(machine: Machine, **chosen: Any) -> None:
    limits = settings(deadline=None, suppress_health_check=list(HealthCheck), **chosen)
    run_state_machine_as_test(machine, settings=limits)  # type: ignore[arg-type]  # any factory will do


@pytest.mark.timeout(900)
def test_consumers_get_what_they_are_promised(machine: Machine) -> None:
    play(machine, max_examples=60, stateful_step_count=40)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_consumers_get_what_they_are_promised_at_length(machine: Machine) -> None:
    play(machine, max_examples=400, stateful_step_count=80)

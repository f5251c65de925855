"""Leases of queues to those who deliver for them, on a real store, against a plain model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from storage.redis.store import RedisStore
from tests.properties.playing import find, plant, play
from tests.properties.registry_machine import RegistryMachine
from tests.support.servers import Server
from tests.support.store import connected


@pytest.fixture
def store(store_server: Server) -> Iterator[RedisStore]:
    """A store whose registry is empty."""
    store_server.client().flushall()
    with connected(store_server) as started:
        yield started


@pytest.mark.timeout(300)
def test_leases_are_as_the_model_says(store: RedisStore) -> None:
    play(partial(RegistryMachine, store), max_examples=50, stateful_step_count=60)


MUTANTS = {
    "a queue that two take": ("write_terms(queue, now + ARGV[4], generation, owner)", ""),
    "a lease that another keeps": (
        "if owner == ARGV[2] then\n    write_terms(ARGV[i], now",
        "if owner then\n    write_terms(ARGV[i], now",
    ),
    "a queue that is removed although it was added": (
        "generation == tonumber(ARGV[i + 1]) and",
        "generation and",
    ),
    "a queue that does not stay": ("and generation <= now - ARGV[2] then", "then"),
    "a lease that ends when the queue is added": ('owner and call("ZSCORE", QUEUES, ARGV[2]) or 0', "0"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("store_server", ["valkey"], indirect=True)
def test_the_machine_finds_what_is_planted(
    mutant: str, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, *MUTANTS[mutant])
    find(partial(RegistryMachine, store), max_examples=200, stateful_step_count=60)

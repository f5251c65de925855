"""Leases of queues to those who deliver for them, on a real store, against a plain model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from storage.redis.store import RedisStore
from tests.properties.registry_machine import RegistryMachine
from tests.properties.test_store_model import plant
from tests.support.servers import Server
from tests.support.store import connected


@pytest.fixture
def store(store_server: Server) -> Iterator[RedisStore]:
    """A store whose registry is empty."""
    store_server.client().flushall()
    with connected(store_server) as started:
        yield started


def play(store: RedisStore, **chosen: Any) -> None:
    """Run the machine; AssertionError where store and model differ."""
    limits = settings(deadline=None, suppress_health_check=list(HealthCheck), **chosen)
    run_state_machine_as_test(partial(RegistryMachine, store), settings=limits)  # type: ignore[arg-type]  # any factory will do


@pytest.mark.timeout(300)
def test_leases_are_as_the_model_says(store: RedisStore) -> None:
    play(store, max_examples=50, stateful_step_count=60)


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
    with pytest.raises(AssertionError):
        play(
            store,
            max_examples=200,
            stateful_step_count=60,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            database=None,
        )
